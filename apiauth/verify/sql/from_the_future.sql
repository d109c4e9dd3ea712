-- Whether rows carry transaction ids that this database has not reached: then it was restored, and nobody has noted it.
SELECT
    EXISTS (SELECT FROM apiauth_key WHERE change_xid >= pg_snapshot_xmax(pg_current_snapshot()))
    OR EXISTS (SELECT FROM apiauth_app WHERE change_xid >= pg_snapshot_xmax(pg_current_snapshot()))
    OR EXISTS (SELECT FROM apiauth_ratelimitscheme WHERE change_xid >= pg_snapshot_xmax(pg_current_snapshot()))
    OR EXISTS (SELECT FROM apiauth_backendkey WHERE change_xid >= pg_snapshot_xmax(pg_current_snapshot()))
