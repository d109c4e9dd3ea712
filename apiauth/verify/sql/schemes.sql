SELECT id, rules::text, change_xid::text::bigint
FROM apiauth_ratelimitscheme
WHERE change_xid >= %(horizon)s::text::xid8
