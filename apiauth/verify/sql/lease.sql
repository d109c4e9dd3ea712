-- One more lease of a window: a twentieth of what is not leased yet, or as many calls as wait where that is more.
-- So leases get smaller towards the window's last calls, each of which goes to a host that has a call for it.
INSERT INTO apiauth_limitlease AS known (identity, starts_ms, ends_ms, leased, last_lease)
SELECT %(identity)s, %(starts_ms)s, %(ends_ms)s, fresh.lease, fresh.lease
FROM (SELECT least(%(limit)s::bigint, greatest(%(waiting)s::bigint, %(limit)s::bigint / 20)) AS lease) AS fresh
ON CONFLICT (identity, starts_ms) DO UPDATE SET (leased, last_lease) = (
    SELECT known.leased + next.lease, next.lease
    FROM (
        SELECT greatest(0, least(free.calls, greatest(%(waiting)s::bigint, free.calls / 20))) AS lease
        FROM (SELECT %(limit)s::bigint - known.leased AS calls) AS free
    ) AS next
)
RETURNING last_lease, leased
