-- What a poll begins with. Every transaction below the horizon has ended, so its changes are in this snapshot; the
-- next poll asks for the rest. The planner's estimate says how many keys there are, about. `has_changes` spares the
-- reads of four tables where nothing happened.
SELECT
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint,
    pg_current_snapshot()::text,
    keystead_epoch(),
    keystead_identity(),
    (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    (SELECT reltuples::bigint FROM pg_class WHERE oid = 'apiauth_key'::regclass),
    EXISTS (SELECT FROM apiauth_key WHERE change_xid >= %(horizon)s::text::xid8)
    OR EXISTS (SELECT FROM apiauth_app WHERE change_xid >= %(horizon)s::text::xid8)
    OR EXISTS (SELECT FROM apiauth_ratelimitscheme WHERE change_xid >= %(horizon)s::text::xid8)
    OR EXISTS (SELECT FROM apiauth_backendkey WHERE change_xid >= %(horizon)s::text::xid8)
