-- What one batch adds to every rollup, grouped as finely as the finest of them; emptied at every commit.
CREATE TEMPORARY TABLE IF NOT EXISTS stage_count (
    minute timestamptz NOT NULL,
    deployment_id bigint,
    app_id bigint,
    key_id bigint,
    rule text,
    blocked_by text,
    method text NOT NULL,
    path text NOT NULL,
    count bigint NOT NULL,
    last_at timestamptz NOT NULL,
    client_ip inet
) ON COMMIT DELETE ROWS
