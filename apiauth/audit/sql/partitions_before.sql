-- The partitions of the days before `first`; their names hold the day.
SELECT relname
FROM pg_partition_tree('apiauth_decision') AS part
JOIN pg_class ON pg_class.oid = part.relid
WHERE
    relname ~ '^apiauth_decision_y[0-9]{4}m[0-9]{2}d[0-9]{2}$'
    AND right(relname, 11) COLLATE "C" < to_char(%(first)s::date, '"y"YYYY"m"MM"d"DD') COLLATE "C"
ORDER BY relname
