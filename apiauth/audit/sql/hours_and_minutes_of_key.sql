-- One key's counts by the hour and by the minute, each as one text: a busy key has more than a thousand minutes.
SELECT
    (
        SELECT coalesce(json_agg(json_build_array(extract(epoch FROM hour)::bigint, allowed, blocked)), '[]')
        FROM (
            SELECT
                hour, coalesce(sum(count) FILTER (WHERE rule = ''), 0) AS allowed,
                coalesce(sum(count) FILTER (WHERE rule <> ''), 0) AS blocked
            FROM apiauth_decisionrollup
            WHERE app_id = %(app_id)s AND key_id = %(key_id)s
              AND hour >= date_trunc('hour', %(hours_from)s::timestamptz, 'UTC') AND hour < %(end)s
            GROUP BY hour
        ) AS hours
    ),
    (
        SELECT coalesce(json_agg(json_build_array(extract(epoch FROM minute)::bigint, allowed, blocked)), '[]')
        FROM apiauth_minuterollup
        WHERE app_id = %(app_id)s AND key_id = %(key_id)s
          AND minute >= date_trunc('minute', %(minutes_from)s::timestamptz) AND minute < %(end)s
    )
