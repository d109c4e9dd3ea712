-- How often each rule blocked the calls of an app, by steps of a length, as one text.
SELECT coalesce(json_agg(json_build_array(extract(epoch FROM step)::bigint, rule, total)), '[]')
FROM (
    SELECT date_bin(%(length)s, hour, %(start)s) AS step, rule, sum(count) AS total
    FROM apiauth_approllup
    WHERE app_id = %(app_id)s AND hour >= %(start)s AND hour < %(end)s
    GROUP BY step, rule
) AS counted
