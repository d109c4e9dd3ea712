-- A record that is already there, because a spool file was read twice or a dead file's records were written
-- again, is left out; the ids of the others come back, for they alone are counted.
INSERT INTO apiauth_decision (
    id, decided_at, app_id, deployment_id, key_id, key_name_id, presented_start, allowed, rule, blocked_by,
    method, path, client_ip, peer_ip, user_agent, required_permissions, held_permissions, rate_limits,
    retry_after, snapshot_age_ms, duration_us, node_id
)
SELECT
    id, decided_at, app_id, deployment_id, key_id, key_name_id, presented_start, allowed, rule, blocked_by,
    method, path, client_ip, peer_ip, user_agent, required_permissions, held_permissions, rate_limits,
    retry_after, snapshot_age_ms, duration_us, node_id
FROM stage_decision
ON CONFLICT DO NOTHING
RETURNING id
