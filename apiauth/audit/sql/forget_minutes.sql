-- Charts by the minute show at most the last day; two days are kept.
DELETE FROM apiauth_minuterollup WHERE minute < now() - interval '48 hours'
