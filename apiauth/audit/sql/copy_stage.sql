COPY stage_decision (
    id, decided_at, app_id, deployment_id, key_id, key_name_id, presented_start, allowed, rule, blocked_by,
    method, path, client_ip, peer_ip, user_agent, required_permissions, held_permissions, rate_limits,
    retry_after, snapshot_age_ms, duration_us, node_id
) FROM STDIN
