-- In the transaction of the records themselves: that is what makes the drain exactly once.
UPDATE apiauth_spoolfile SET
    drained_bytes = %(drained_bytes)s,
    records = records + %(records)s,
    quarantined = quarantined + %(quarantined)s,
    updated_at = clock_timestamp(),
    finished_at = CASE WHEN %(is_finished)s THEN clock_timestamp() ELSE finished_at END
WHERE name = %(name)s
