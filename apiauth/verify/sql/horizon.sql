-- Every transaction below this id has ended, so its changes are in this snapshot; a later poll asks for the rest.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint
