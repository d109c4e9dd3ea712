-- Those of days whose partition is gone already, as of a spool that came late.
DELETE FROM apiauth_decision_default WHERE decided_at < %(first)s::date::timestamp AT TIME ZONE 'UTC'
