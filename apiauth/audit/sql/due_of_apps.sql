-- The apps with decisions older than their policy keeps them, with the moment before which they go and the
-- partition of the oldest.
SELECT app.id, kept.first, part.relname
FROM apiauth_app AS app
CROSS JOIN LATERAL (
    SELECT (%(today)s::date - (app.policy #>> '{audit,keep_days}')::integer)::timestamp AT TIME ZONE 'UTC' AS first
) AS kept
CROSS JOIN LATERAL (
    SELECT tableoid FROM apiauth_decision
    WHERE app_id = app.id AND decided_at < kept.first
    ORDER BY decided_at
    LIMIT 1
) AS oldest
JOIN pg_class AS part ON part.oid = oldest.tableoid
WHERE app.policy #>> '{audit,keep_days}' IS NOT NULL
