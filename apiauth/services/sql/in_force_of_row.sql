-- As in_force.sql, beside a row of an app, a key, a scheme or a backend key, whose change_xid it is: how many gateways
-- have taken in its last change, and how many there are.
SELECT ARRAY[
    count(*) FILTER (WHERE epoch = keystead_epoch() AND pg_visible_in_snapshot(change_xid, seen)),
    count(*)
]
FROM apiauth_gatewaystatus
WHERE confirmed_at > clock_timestamp() - make_interval(secs => stale_bound_seconds + %s)
