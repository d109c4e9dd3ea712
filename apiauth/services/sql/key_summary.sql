-- Of some keys that all work: how many there are, each lineage once and none counted beyond so many; and the first few
-- that expire, that are old secrets, and that are due for rotation. Each list is read apart, as far as it is told.
WITH working AS NOT MATERIALIZED ({working})
SELECT
    (SELECT count(*) FROM (SELECT FROM working WHERE replaced_by_id IS NULL LIMIT %s) AS counted),
    (
        SELECT coalesce(json_agg(expiring), '[]')
        FROM (
            SELECT *
            FROM working
            WHERE replaced_by_id IS NULL AND expires_at IS NOT NULL
            ORDER BY expires_at, id DESC
            LIMIT %s
        ) AS expiring
    ),
    (
        SELECT coalesce(json_agg(replaced), '[]')
        FROM (SELECT * FROM working WHERE replaced_by_id IS NOT NULL ORDER BY id DESC LIMIT %s) AS replaced
    ),
    (
        SELECT coalesce(json_agg(due), '[]')
        FROM (
            SELECT *
            FROM working
            WHERE replaced_by_id IS NULL AND created_at <= %s::timestamptz
              AND (expires_at IS NULL OR expires_at > greatest(created_at + %s::interval, %s::timestamptz))
            ORDER BY id
            LIMIT %s
        ) AS due
    )
