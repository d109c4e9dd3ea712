-- The newest calls of some keys that were allowed, as plain text: thousands are read at once, and no type of ours
-- is worth its making here. The second statement alone is asked for: those around it say how long it may take,
-- and all three go to the server together. Sent like that they are one transaction, unless there is one already.
SELECT
    set_config('keystead.statement_timeout', current_setting('statement_timeout'), true),
    set_config('statement_timeout', %(longest_ms)s::text, true);
SELECT (date_part('epoch', decided_at) * 1000)::bigint, host(client_ip), method, path, required_permissions::text
FROM ({calls}) AS calls
ORDER BY decided_at DESC
LIMIT %(most)s;
SELECT set_config('statement_timeout', current_setting('keystead.statement_timeout'), true)
