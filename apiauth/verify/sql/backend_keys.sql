SELECT id, digest, deployment_id, 'gateway:check' = ANY (scopes), revoked_at IS NOT NULL, change_xid::text::bigint
FROM apiauth_backendkey
WHERE change_xid >= %(horizon)s::text::xid8
