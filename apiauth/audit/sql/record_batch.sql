-- Only rows that were really inserted are counted: a record that is already there, because a spool file
-- was read twice or a dead file's records were written again, adds to nothing. Every upsert goes through
-- its keys in order, so that the workers of two hosts cannot wait for each other in a circle.
WITH fresh AS (
    INSERT INTO apiauth_decision (
        id, decided_at, deployment_id, app_id, key_id, key_name, presented_start, allowed, rule, blocked_by,
        method, path, client_ip, peer_ip, user_agent, required_permissions, held_permissions, rate_limits,
        retry_after, snapshot_age_ms, duration_us, node
    )
    SELECT
        id, decided_at, deployment_id, app_id, key_id, key_name, presented_start, allowed, rule, blocked_by,
        method, path, client_ip, peer_ip, user_agent, required_permissions, held_permissions, rate_limits,
        retry_after, snapshot_age_ms, duration_us, node
    FROM stage_decision
    ON CONFLICT DO NOTHING
    RETURNING deployment_id, app_id, key_id, decided_at, allowed, rule, blocked_by, method, path, client_ip
), counted AS (
    INSERT INTO apiauth_decisionrollup AS rollup (hour, deployment_id, app_id, key_id, rule, blocked_by, count)
    SELECT
        date_trunc('hour', decided_at, 'UTC') AS hour, max(coalesce(deployment_id, 0)),
        coalesce(app_id, 0) AS app, coalesce(key_id, 0) AS key, coalesce(rule, '') AS why,
        coalesce(blocked_by, '') AS what, count(*)
    FROM fresh
    GROUP BY hour, app, key, why, what
    ORDER BY app, hour, key, why, what
    ON CONFLICT (app_id, hour, key_id, rule, blocked_by) DO UPDATE SET count = rollup.count + excluded.count
), counted_by_minute AS (
    INSERT INTO apiauth_minuterollup AS rollup (minute, app_id, key_id, allowed, blocked)
    SELECT
        date_trunc('minute', decided_at, 'UTC') AS moment, coalesce(app_id, 0) AS app, coalesce(key_id, 0) AS key,
        count(*) FILTER (WHERE allowed), count(*) FILTER (WHERE NOT allowed)
    FROM fresh
    WHERE app_id IS NOT NULL
    GROUP BY moment, app, key
    ORDER BY app, moment, key
    ON CONFLICT (app_id, minute, key_id) DO UPDATE SET
        allowed = rollup.allowed + excluded.allowed, blocked = rollup.blocked + excluded.blocked
), counted_by_path AS (
    INSERT INTO apiauth_pathrollup AS rollup (hour, app_id, key_id, path, allowed, count)
    SELECT
        date_trunc('hour', decided_at, 'UTC') AS hour, coalesce(app_id, 0) AS app, coalesce(key_id, 0) AS key,
        method || ' ' || path AS called, allowed, count(*)
    FROM fresh
    WHERE app_id IS NOT NULL
    GROUP BY hour, app, key, called, allowed
    ORDER BY app, hour, key, called, allowed
    ON CONFLICT (app_id, hour, key_id, path, allowed) DO UPDATE SET count = rollup.count + excluded.count
), used AS (
    INSERT INTO apiauth_keyusage AS usage (key_id, last_used_at, client_ip, method, path, allowed)
    SELECT DISTINCT ON (key_id) key_id, decided_at, host(client_ip), method, path, allowed
    FROM fresh
    WHERE key_id IS NOT NULL
    ORDER BY key_id, decided_at DESC
    ON CONFLICT (key_id) DO UPDATE SET
        last_used_at = excluded.last_used_at, client_ip = excluded.client_ip, method = excluded.method,
        path = excluded.path, allowed = excluded.allowed
    WHERE excluded.last_used_at > usage.last_used_at
)
SELECT count(*) FROM fresh
