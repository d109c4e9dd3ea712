-- As in_force.sql, beside a row of apiauth_key: how many gateways have taken in its last change, and how many there are.
SELECT ARRAY[
    count(*) FILTER (WHERE epoch = keystead_epoch() AND pg_visible_in_snapshot(apiauth_key.change_xid, seen)),
    count(*)
]
FROM apiauth_gatewaystatus
WHERE confirmed_at > clock_timestamp() - make_interval(secs => stale_bound_seconds + %s)
