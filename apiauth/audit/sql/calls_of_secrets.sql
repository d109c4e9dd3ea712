-- How often each of some keys was presented since a moment, and from where it was let through in the last day: its
-- newest thousand calls say that, for a busy key makes millions. Whole minutes or hours are counted as they are; of the
-- one in which the moment lies the newest ten thousand calls are looked at, so that none of before it counts, and if
-- they are not all of it, the count is a lower bound. And up to which moment all of this is known.
SELECT
    secret.key_id,
    counted.later + edge.since,
    edge.seen = counted.first,
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
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(calls) FILTER (WHERE start < %(first_ends)s), 0)::bigint,
        coalesce(sum(calls) FILTER (WHERE start >= %(first_ends)s), 0)::bigint
    FROM (
        SELECT minute, allowed + blocked
        FROM apiauth_minuterollup
        WHERE %(by_minute)s AND app_id = %(app_id)s AND key_id = secret.key_id
          AND minute >= %(first_starts)s AND minute < %(now)s
        UNION ALL
        SELECT hour, count
        FROM apiauth_decisionrollup
        WHERE NOT %(by_minute)s AND app_id = %(app_id)s AND key_id = secret.key_id
          AND hour >= %(first_starts)s AND hour < %(now)s
    ) AS unit (start, calls)
) AS counted (first, later)
CROSS JOIN LATERAL (
    SELECT count(*), count(*) FILTER (WHERE decided_at >= %(since)s)
    FROM (
        SELECT decided_at
        FROM apiauth_decision
        WHERE app_id = %(app_id)s AND key_id = secret.key_id
          AND decided_at >= %(first_starts)s AND decided_at < least(%(first_ends)s::timestamptz, %(now)s::timestamptz)
        ORDER BY decided_at DESC
        LIMIT 10000
    ) AS newest
) AS edge (seen, since)
