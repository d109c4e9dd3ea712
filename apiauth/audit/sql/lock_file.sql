-- A worker that finds the row locked leaves the file to the one that drains it.
SELECT drained_bytes, quarantined FROM apiauth_spoolfile WHERE name = %(name)s FOR UPDATE SKIP LOCKED
