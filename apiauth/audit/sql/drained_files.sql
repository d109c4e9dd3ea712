-- How much of each of these files is in the tables, whichever host's worker noted it.
SELECT name, drained_bytes FROM apiauth_spoolfile WHERE name = ANY(%(names)s)
