-- Rows here had no partition of their day: a clock was far off, or no worker ran for a week.
SELECT count(*) FROM (SELECT 1 FROM apiauth_decision_default LIMIT 1000) AS stray
