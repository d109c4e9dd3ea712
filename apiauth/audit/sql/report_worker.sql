-- By the database's clock: those of hosts differ.
INSERT INTO apiauth_workerstatus (host, complete_until, reported_at)
SELECT host, clock_timestamp() - make_interval(secs => %(seconds)s), clock_timestamp()
FROM unnest(%(hosts)s::text[]) AS served (host)
ORDER BY host
ON CONFLICT (host) DO UPDATE SET complete_until = excluded.complete_until, reported_at = excluded.reported_at
