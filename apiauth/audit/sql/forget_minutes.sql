-- Charts by the minute show at most the last day; two days are kept.
WITH of_apps AS (
    DELETE FROM apiauth_appminuterollup WHERE minute < now() - interval '48 hours'
)
DELETE FROM apiauth_minuterollup WHERE minute < now() - interval '48 hours'
