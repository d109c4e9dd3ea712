-- Give keys other ends, one each.
UPDATE apiauth_key
SET expires_at = moved.expires_at, updated_at = %(now)s
FROM unnest(%(key_ids)s::bigint[], %(ends)s::timestamptz[]) AS moved (key_id, expires_at)
WHERE apiauth_key.id = moved.key_id
