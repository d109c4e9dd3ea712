INSERT INTO apiauth_gatewaystatus (
    incarnation, host, pid, limits, stale_bound_seconds, generation, epoch, seen, confirmed_at, started_at
)
VALUES (
    %(incarnation)s, %(host)s, %(pid)s, %(limits)s, %(stale_bound_seconds)s, %(generation)s, %(epoch)s,
    %(seen)s::text::pg_snapshot, clock_timestamp(), clock_timestamp()
)
ON CONFLICT (incarnation) DO UPDATE SET
    generation = excluded.generation, epoch = excluded.epoch, seen = excluded.seen, confirmed_at = excluded.confirmed_at
