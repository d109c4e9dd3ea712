INSERT INTO apiauth_gatewaystatus (incarnation, host, pid, generation, confirmed_at, started_at)
VALUES (%(incarnation)s, %(host)s, %(pid)s, %(generation)s, clock_timestamp(), clock_timestamp())
ON CONFLICT (incarnation) DO UPDATE SET generation = excluded.generation, confirmed_at = excluded.confirmed_at
