-- Decisions of one piece of time, spread evenly, as the worker would have stored them: keys and paths are as
-- frequent as one over their rank (`keys`, `paths` are their sums), outcomes as often as `shares` say, in a thousand.
INSERT INTO apiauth_decision (
    id, decided_at, app_id, key_id, key_name_id, presented_start, allowed, rule, blocked_by, method, path, client_ip,
    peer_ip, user_agent, required_permissions, held_permissions, rate_limits, retry_after, snapshot_age_ms,
    duration_us, node_id
)
SELECT
    (lpad(to_hex(milliseconds), 12, '0') || '7' || substr(dice, 1, 3) || '8' || substr(dice, 4, 15))::uuid,
    to_timestamp(milliseconds / 1000.0), %(app_id)s,
    CASE WHEN is_known THEN %(first_key)s + key END, CASE WHEN is_known THEN (%(names)s::integer[])[key + 1] END,
    CASE WHEN NOT is_known THEN 'nw_live_Ab3d' END,
    rule = '', nullif(rule, ''), nullif(CASE rule WHEN 'rate_limited' THEN '60/60s' ELSE rule END, ''),
    (ARRAY['GET', 'GET', 'GET', 'POST', 'DELETE'])[path %% 5 + 1], '/v2/regions/eu-' || path %% 7 || '/routes/' || path,
    ('203.0.' || key %% 256 || '.' || key / 256)::inet, '10.0.0.4', 'northwind-python/2.4 (linux)', '["routes:read"]',
    CASE rule WHEN 'permission_denied' THEN '["routes:list"]' END::json,
    CASE WHEN rule IN ('', 'rate_limited') THEN '60/60s=41' ELSE '' END,
    CASE rule WHEN 'rate_limited' THEN 23 END, 412, 31, %(node)s
FROM (
    SELECT
        milliseconds, md5(number::text) AS dice, key, path, rule, rule <> 'key_unknown' AS is_known
    FROM (
        SELECT
            number, %(first_ms)s + number * %(length_ms)s / %(rows)s AS milliseconds,
            width_bucket(random() * (%(keys)s::float8[])[cardinality(%(keys)s::float8[])], %(keys)s::float8[]) AS key,
            width_bucket(random() * (%(paths)s::float8[])[cardinality(%(paths)s::float8[])], %(paths)s::float8[]) AS path,
            (%(outcomes)s::text[])[width_bucket(random() * 1000, %(shares)s::float8[]) + 1] AS rule
        FROM generate_series(%(first)s::bigint, %(last)s::bigint - 1) AS number
    ) AS drawn
) AS made
