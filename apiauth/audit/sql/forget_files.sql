-- A finished file's name never comes back, so its offset is of no more use.
DELETE FROM apiauth_spoolfile WHERE finished_at < clock_timestamp() - interval '30 days'
