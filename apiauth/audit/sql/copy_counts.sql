COPY stage_count (
    minute, deployment_id, app_id, key_id, rule, blocked_by, method, path, count, last_at, client_ip
) FROM STDIN
