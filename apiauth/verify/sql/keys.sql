-- What is kept of a key; which keys, one of the files beside this one says.
SELECT
    id, deployment_id, app_id, name, digest, to_json(permissions)::text, metadata::text, to_json(allowed_cidrs)::text,
    (extract(epoch FROM expires_at) * 1000)::bigint,
    revoked_at IS NOT NULL, disabled_at IS NOT NULL,
    (extract(epoch FROM overlap_ends_at) * 1000)::bigint,
    (extract(epoch FROM created_at) * 1000)::bigint,
    change_xid::text::bigint,
    nullif(limits, '[]')::text,
    nullif(to_json(resources)::text, '[]'),
    nullif(to_json(ARRAY[user_id, organization_id, workspace_id])::text, '[null,null,null]')
FROM apiauth_key
