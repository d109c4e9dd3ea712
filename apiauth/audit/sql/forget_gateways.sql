DELETE FROM apiauth_gatewaystatus WHERE confirmed_at < clock_timestamp() - interval '1 day'
