-- How much of each file of a host's spool is in the tables.
SELECT name, drained_bytes FROM apiauth_spoolfile WHERE host = %(host)s
