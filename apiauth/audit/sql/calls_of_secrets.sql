-- How often each of some keys was presented since a moment, and from where it was let through in the last day: its
-- newest thousand calls say that, for a busy key makes millions. Minutes are kept for two days. And up to which moment
-- all of this is known.
SELECT
    secret.key_id,
    CASE WHEN %(now)s - %(since)s < interval '2 days' THEN (
        SELECT coalesce(sum(allowed + blocked), 0)::bigint
        FROM apiauth_minuterollup
        WHERE app_id = %(app_id)s AND key_id = secret.key_id
          AND minute >= date_trunc('minute', %(since)s::timestamptz) AND minute < %(now)s
    ) ELSE (
        SELECT coalesce(sum(count), 0)::bigint
        FROM apiauth_decisionrollup
        WHERE app_id = %(app_id)s AND key_id = secret.key_id
          AND hour >= date_trunc('hour', %(since)s::timestamptz, 'UTC') AND hour < %(now)s
    ) END,
    ARRAY(
        SELECT host(client_ip)
        FROM (
            SELECT client_ip
            FROM apiauth_decision
            WHERE app_id = %(app_id)s AND key_id = secret.key_id AND allowed
              AND decided_at >= %(now)s - interval '1 day' AND decided_at < %(now)s
            ORDER BY decided_at DESC
            LIMIT 1000
        ) AS newest
        WHERE client_ip IS NOT NULL
        GROUP BY client_ip
        ORDER BY count(*) DESC, client_ip
        LIMIT 5
    ),
    keystead_log_complete_until()
FROM unnest(%(key_ids)s::bigint[]) AS secret (key_id)
