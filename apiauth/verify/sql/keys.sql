-- What is kept of a key; which keys, one of the files beside this one says.
SELECT
    id, deployment_id, app_id, name, digest, to_json(permissions)::text, metadata::text, to_json(allowed_cidrs)::text,
    keystead_ms(expires_at),
    revoked_at IS NOT NULL, disabled_at IS NOT NULL,
    keystead_ms(overlap_ends_at),
    keystead_ms(created_at),
    change_xid::text::bigint,
    nullif(limits, '[]')::text,
    nullif(to_json(resources)::text, '[]'),
    nullif(to_json(ARRAY[user_id, organization_id, workspace_id])::text, '[null,null,null]')
FROM apiauth_key
