-- Whole days come from the counts by the day, the hours before and behind them from those by the hour.
SELECT key_id, sum(allowed)::bigint, sum(blocked)::bigint
FROM (
    SELECT key_id, allowed, blocked
    FROM apiauth_keydayrollup
    WHERE app_id = %(app_id)s AND day >= %(first_day)s AND day < %(last_day)s
    UNION ALL
    SELECT key_id, CASE WHEN rule = '' THEN count ELSE 0 END, CASE WHEN rule = '' THEN 0 ELSE count END
    FROM apiauth_decisionrollup
    WHERE app_id = %(app_id)s AND key_id <> 0 AND hour >= %(start)s AND hour < least(%(first_day)s, %(end)s)
    UNION ALL
    SELECT key_id, CASE WHEN rule = '' THEN count ELSE 0 END, CASE WHEN rule = '' THEN 0 ELSE count END
    FROM apiauth_decisionrollup
    WHERE app_id = %(app_id)s AND key_id <> 0 AND hour >= greatest(%(first_day)s, %(last_day)s) AND hour < %(end)s
) AS counted
GROUP BY key_id
ORDER BY sum(allowed + blocked) DESC, key_id
LIMIT %(most)s
