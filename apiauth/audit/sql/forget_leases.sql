-- A day late: a gateway whose clock is behind must not find the count of a window gone that it still leases from.
DELETE FROM apiauth_limitlease WHERE ends_ms < (extract(epoch FROM clock_timestamp() - interval '1 day') * 1000)::bigint
