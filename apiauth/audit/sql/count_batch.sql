-- Adds what one batch counts to every rollup, and notes the last use of its keys. Every upsert goes through
-- its keys in order, so that the workers of two hosts cannot wait for each other in a circle.
WITH counted AS (
    INSERT INTO apiauth_decisionrollup AS rollup (hour, deployment_id, app_id, key_id, rule, blocked_by, count)
    SELECT
        date_trunc('hour', minute, 'UTC') AS hour, max(coalesce(deployment_id, 0)),
        coalesce(app_id, 0) AS app, coalesce(key_id, 0) AS key, coalesce(rule, '') AS why,
        coalesce(blocked_by, '') AS what, sum(count)
    FROM stage_count
    GROUP BY hour, app, key, why, what
    ORDER BY app, hour, key, why, what
    ON CONFLICT (app_id, hour, key_id, rule, blocked_by) DO UPDATE SET count = rollup.count + excluded.count
), counted_by_minute AS (
    INSERT INTO apiauth_minuterollup AS rollup (minute, app_id, key_id, allowed, blocked)
    SELECT
        minute, app_id, coalesce(key_id, 0) AS key,
        coalesce(sum(count) FILTER (WHERE rule IS NULL), 0), coalesce(sum(count) FILTER (WHERE rule IS NOT NULL), 0)
    FROM stage_count
    WHERE app_id IS NOT NULL
    GROUP BY minute, app_id, key
    ORDER BY app_id, minute, key
    ON CONFLICT (app_id, minute, key_id) DO UPDATE SET
        allowed = rollup.allowed + excluded.allowed, blocked = rollup.blocked + excluded.blocked
), counted_of_app_by_minute AS (
    INSERT INTO apiauth_appminuterollup AS rollup (minute, app_id, allowed, blocked)
    SELECT
        minute, app_id,
        coalesce(sum(count) FILTER (WHERE rule IS NULL), 0), coalesce(sum(count) FILTER (WHERE rule IS NOT NULL), 0)
    FROM stage_count
    WHERE app_id IS NOT NULL
    GROUP BY minute, app_id
    ORDER BY app_id, minute
    ON CONFLICT (app_id, minute) DO UPDATE SET
        allowed = rollup.allowed + excluded.allowed, blocked = rollup.blocked + excluded.blocked
), counted_of_app AS (
    INSERT INTO apiauth_approllup AS rollup (hour, app_id, rule, blocked_by, count)
    SELECT
        date_trunc('hour', minute, 'UTC') AS hour, app_id, coalesce(rule, '') AS why,
        coalesce(blocked_by, '') AS what, sum(count)
    FROM stage_count
    WHERE app_id IS NOT NULL
    GROUP BY hour, app_id, why, what
    ORDER BY app_id, hour, why, what
    ON CONFLICT (app_id, hour, rule, blocked_by) DO UPDATE SET count = rollup.count + excluded.count
), counted_by_day AS (
    INSERT INTO apiauth_keydayrollup AS rollup (day, app_id, key_id, allowed, blocked)
    SELECT
        date_trunc('day', minute, 'UTC') AS day, app_id, key_id,
        coalesce(sum(count) FILTER (WHERE rule IS NULL), 0), coalesce(sum(count) FILTER (WHERE rule IS NOT NULL), 0)
    FROM stage_count
    WHERE app_id IS NOT NULL AND key_id IS NOT NULL
    GROUP BY day, app_id, key_id
    ORDER BY app_id, day, key_id
    ON CONFLICT (app_id, day, key_id) DO UPDATE SET
        allowed = rollup.allowed + excluded.allowed, blocked = rollup.blocked + excluded.blocked
), counted_by_path AS (
    INSERT INTO apiauth_pathrollup AS rollup (hour, app_id, path, allowed, count)
    SELECT
        date_trunc('hour', minute, 'UTC') AS hour, app_id, method || ' ' || path AS called, rule IS NULL AS allowed,
        sum(count)
    FROM stage_count
    WHERE app_id IS NOT NULL
    GROUP BY hour, app_id, called, rule IS NULL
    ORDER BY app_id, hour, called, allowed
    ON CONFLICT (app_id, hour, path, allowed) DO UPDATE SET count = rollup.count + excluded.count
), counted_by_path_and_key AS (
    INSERT INTO apiauth_keypathrollup AS rollup (day, app_id, key_id, path, allowed, count)
    SELECT
        date_trunc('day', minute, 'UTC') AS day, app_id, key_id, method || ' ' || path AS called,
        rule IS NULL AS allowed, sum(count)
    FROM stage_count
    WHERE app_id IS NOT NULL AND key_id IS NOT NULL
    GROUP BY day, app_id, key_id, called, rule IS NULL
    ORDER BY app_id, key_id, day, called, allowed
    ON CONFLICT (app_id, key_id, day, path, allowed) DO UPDATE SET count = rollup.count + excluded.count
)
INSERT INTO apiauth_keyusage AS usage (key_id, app_id, last_used_at, client_ip, method, path, allowed)
SELECT DISTINCT ON (key_id) key_id, app_id, last_at, host(client_ip), method, path, rule IS NULL
FROM stage_count
WHERE key_id IS NOT NULL AND app_id IS NOT NULL
ORDER BY key_id, last_at DESC
ON CONFLICT (key_id) DO UPDATE SET
    last_used_at = excluded.last_used_at, client_ip = excluded.client_ip, method = excluded.method,
    path = excluded.path, allowed = excluded.allowed
WHERE excluded.last_used_at > usage.last_used_at
