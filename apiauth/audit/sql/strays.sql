-- Rows here had no partition of their day: a clock was far off, or no worker ran for a week.
SELECT count(*), min(day), max(day)
FROM (SELECT (decided_at AT TIME ZONE 'UTC')::date AS day FROM apiauth_decision_default LIMIT 1000) AS stray
