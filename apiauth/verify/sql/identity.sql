-- Another value means another history of the database: stored transaction ids then say nothing about time.
SELECT
    (SELECT system_identifier::text FROM pg_control_system()),
    substring(pg_walfile_name(pg_current_wal_lsn()) FOR 8),
    (SELECT oid::text FROM pg_database WHERE datname = current_database())
