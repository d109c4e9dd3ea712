-- How many gateways have taken in what a transaction changed, of those that may still answer. Each says exactly
-- which transactions it has seen, so one that runs for long elsewhere makes nobody wait.
SELECT
    count(*) FILTER (WHERE epoch = keystead_epoch() AND pg_visible_in_snapshot(%(change)s::text::xid8, seen)),
    count(*)
FROM apiauth_gatewaystatus
WHERE confirmed_at > clock_timestamp() - make_interval(secs => stale_bound_seconds + %(unheard_seconds)s)
