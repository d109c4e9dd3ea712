COPY apiauth_decision (
    id, decided_at, deployment_id, app_id, key_id, key_name, presented_start, allowed, rule, blocked_by,
    method, path, client_ip, peer_ip, user_agent, required_permissions, held_permissions, rate_limits,
    retry_after, snapshot_age_ms, duration_us, node
) FROM STDIN
