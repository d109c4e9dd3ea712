-- What the drain would have staged of these decisions. Their minutes may be whole hours where the counts by the
-- minute are forgotten anyway.
INSERT INTO stage_count (minute, app_id, key_id, rule, blocked_by, method, path, count, last_at, client_ip)
SELECT
    date_trunc(%(step)s, decided_at, 'UTC') AS step, app_id, key_id, rule, blocked_by, method, path, count(*),
    max(decided_at), max(client_ip)
FROM apiauth_decision
WHERE decided_at >= %(start)s AND decided_at < %(end)s
GROUP BY step, app_id, key_id, rule, blocked_by, method, path
