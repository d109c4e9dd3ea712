-- A batch from one partition by the places of its rows: by their key each would be looked for in every partition.
DELETE FROM {partition} WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM {partition}
    WHERE app_id = %(app)s AND decided_at < %(first)s
    ORDER BY decided_at
    LIMIT %(most)s
))
