INSERT INTO apiauth_spoolfile (name, host, drained_bytes, records, quarantined, updated_at)
VALUES (%(name)s, %(host)s, 0, 0, 0, clock_timestamp())
ON CONFLICT (name) DO NOTHING
