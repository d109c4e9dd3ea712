-- One key's newest calls as one text: as rows of their own, each of their values would be made anew.
SELECT coalesce(json_agg(json_build_array(id, method, path, allowed, rate_limits)), '[]')
FROM (
    SELECT id, method, path, allowed, rate_limits
    FROM apiauth_decision
    WHERE app_id = %(app_id)s AND key_id = %(key_id)s AND decided_at >= %(start)s AND decided_at < %(end)s
    ORDER BY decided_at DESC, id DESC
    LIMIT %(most)s
) AS newest
