-- Where the newest decisions of several apps stand. At most so many rows of each app are read, to which an index
-- leads: one in the order of time alone would take as much room again as an app's. App 0 is none.
WITH asked AS (
    SELECT id FROM (SELECT id FROM apiauth_app UNION ALL SELECT 0) AS app
    WHERE %(app_ids)s::bigint[] IS NULL OR id = ANY (%(app_ids)s::bigint[])
)
SELECT found.app_id, found.decided_at, found.id
FROM asked, LATERAL (
    SELECT app_id, decided_at, id
    FROM apiauth_decision
    WHERE
        app_id = asked.id AND decided_at >= %(start)s AND decided_at <= %(moment)s
        AND (decided_at < %(moment)s OR id < %(after)s)
        AND (%(allowed)s::boolean IS NULL OR allowed = %(allowed)s)
        AND (%(rule)s::text IS NULL OR (NOT allowed AND rule = %(rule)s))
    ORDER BY decided_at DESC, id DESC
    LIMIT %(most)s
) AS found
ORDER BY found.decided_at DESC, found.id DESC
LIMIT %(most)s
