SELECT
    id, deployment_id, slug, key_prefix, is_active, deleted_at IS NOT NULL, rate_limit_scheme_id,
    user_id, organization_id, workspace_id, change_xid::text::bigint,
    to_json(resources)::text, (policy -> 'rotation')::text
FROM apiauth_app
WHERE change_xid >= %(horizon)s::text::xid8
