-- Of a gateway that still runs there, its start then says that nothing is known.
DELETE FROM apiauth_workerstatus WHERE reported_at < clock_timestamp() - interval '1 day'
