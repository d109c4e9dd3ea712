-- One key's part of recent_calls: in the order of an index, so that the parts of several keys are merged as they
-- are read, and no more is read of all than is asked for. One condition on all their ids would have the rows sorted.
(
    SELECT decided_at, client_ip, method, path, required_permissions
    FROM apiauth_decision
    WHERE app_id = %(app_id)s AND key_id = {key_id} AND allowed
      AND decided_at >= %(start)s AND decided_at < %(end)s
    ORDER BY decided_at DESC
)
