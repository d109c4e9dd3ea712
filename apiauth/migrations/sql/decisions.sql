-- Names that stand in many decisions, each kept once: of the gateways' hosts, and of keys as they were called.
CREATE TABLE apiauth_recordedname (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text text NOT NULL UNIQUE
);

-- What the gateways decided. A day is a partition, so that old days go by dropping a table; the id carries
-- its own moment. App 0 means none. An app's deployment is the app's to know: it stands here only without an app.
-- Columns of a fixed width come first, and what is only shown is text, not jsonb or an array: less on disk.
CREATE TABLE apiauth_decision (
    decided_at timestamptz NOT NULL,
    app_id bigint NOT NULL,
    deployment_id bigint,
    key_id bigint,
    key_name_id integer,
    retry_after integer,
    snapshot_age_ms integer NOT NULL,
    duration_us integer NOT NULL,
    node_id integer NOT NULL,
    id uuid NOT NULL,
    allowed boolean NOT NULL,
    rule text,
    blocked_by text,
    client_ip inet,
    peer_ip inet,
    method text NOT NULL,
    path text NOT NULL,
    presented_start text,
    user_agent text NOT NULL,
    required_permissions json NOT NULL,
    held_permissions json,
    rate_limits text NOT NULL,
    PRIMARY KEY (app_id, decided_at, id),
    CONSTRAINT decision_blocked_has_a_rule CHECK (allowed = (rule IS NULL))
) PARTITION BY RANGE (decided_at);
-- One for each way of turning pages; the primary key turns those of an app. Without the id: the few rows of one
-- millisecond are sorted as they are read.
CREATE INDEX decision_newest_of_key ON apiauth_decision (key_id, decided_at) WHERE key_id IS NOT NULL;
CREATE INDEX decision_blocked_of_app ON apiauth_decision (app_id, decided_at) WHERE NOT allowed;
CREATE INDEX decision_rule_of_app ON apiauth_decision (app_id, rule, decided_at) WHERE NOT allowed;
-- For staff, who see the decisions of all apps together: rows lie on disk nearly in the order of their time, so
-- that this takes a thousandth of what another index would.
CREATE INDEX decision_by_time ON apiauth_decision
USING brin (decided_at) WITH (pages_per_range = 32, autosummarize = on);

-- The net for moments that no day's partition covers: a clock far off, a worker away for a week.
CREATE TABLE apiauth_decision_default PARTITION OF apiauth_decision DEFAULT;

-- Makes the missing partitions of days `first` to `last` (UTC). A new one is filled from the default
-- partition before it is attached, so rows that went there are found by their day afterwards; attaching
-- instead of creating in place leaves readers of the other days alone.
CREATE FUNCTION keystead_ensure_decision_partitions(first date, last date) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    day date;
    partition_name text;
    starts timestamptz;
    ends timestamptz;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('keystead_ensure_decision_partitions'));
    FOR day IN SELECT generate_series(first, last, interval '1 day')::date LOOP
        partition_name := 'apiauth_decision_y' || to_char(day, 'YYYY"m"MM"d"DD');
        CONTINUE WHEN to_regclass(partition_name) IS NOT NULL;
        starts := day::timestamp AT TIME ZONE 'UTC';
        ends := (day + 1)::timestamp AT TIME ZONE 'UTC';
        EXECUTE format('CREATE TABLE %I (LIKE apiauth_decision INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition_name);
        LOCK TABLE apiauth_decision_default IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('WITH moved AS (DELETE FROM apiauth_decision_default WHERE decided_at >= %L AND decided_at < %L '
                       'RETURNING *) INSERT INTO %I SELECT * FROM moved', starts, ends, partition_name);
        EXECUTE format('ALTER TABLE apiauth_decision ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
                       partition_name, starts, ends);
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;
SELECT keystead_ensure_decision_partitions((now() AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date + 7);

-- Counts, added to in the transaction of the decisions themselves; charts and totals read only these. App and
-- key 0 mean none, rule and blocked_by '' mean allowed. Each is kept as coarsely as it is asked for, so that a
-- month of an app is a few thousand rows however many keys and calls it has.
CREATE TABLE apiauth_decisionrollup (
    hour timestamptz NOT NULL,
    deployment_id bigint NOT NULL,
    app_id bigint NOT NULL,
    key_id bigint NOT NULL,
    rule text NOT NULL,
    blocked_by text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (app_id, hour, key_id, rule, blocked_by)
);
CREATE INDEX decisionrollup_of_key ON apiauth_decisionrollup (key_id, hour);
-- The same for all keys of an app together: totals, reasons, the chart.
CREATE TABLE apiauth_approllup (
    hour timestamptz NOT NULL,
    app_id bigint NOT NULL,
    rule text NOT NULL,
    blocked_by text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (app_id, hour, rule, blocked_by)
);
-- A key by the UTC day: which keys are used most.
CREATE TABLE apiauth_keydayrollup (
    day timestamptz NOT NULL,
    app_id bigint NOT NULL,
    key_id bigint NOT NULL,
    allowed bigint NOT NULL,
    blocked bigint NOT NULL,
    PRIMARY KEY (app_id, day, key_id)
);
-- By the minute, without the reasons, for the last two days: what is going on just now.
CREATE TABLE apiauth_minuterollup (
    minute timestamptz NOT NULL,
    app_id bigint NOT NULL,
    key_id bigint NOT NULL,
    allowed bigint NOT NULL,
    blocked bigint NOT NULL,
    PRIMARY KEY (app_id, minute, key_id)
);
CREATE INDEX minuterollup_by_minute ON apiauth_minuterollup USING brin (minute);
-- The same for all keys of an app together.
CREATE TABLE apiauth_appminuterollup (
    minute timestamptz NOT NULL,
    app_id bigint NOT NULL,
    allowed bigint NOT NULL,
    blocked bigint NOT NULL,
    PRIMARY KEY (app_id, minute)
);
CREATE INDEX appminuterollup_by_minute ON apiauth_appminuterollup USING brin (minute);
-- Methods and paths of an app by the hour, of a key by the UTC day.
CREATE TABLE apiauth_pathrollup (
    hour timestamptz NOT NULL,
    app_id bigint NOT NULL,
    path text NOT NULL,
    allowed boolean NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (app_id, hour, path, allowed)
);
CREATE TABLE apiauth_keypathrollup (
    day timestamptz NOT NULL,
    app_id bigint NOT NULL,
    key_id bigint NOT NULL,
    path text NOT NULL,
    allowed boolean NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (app_id, key_id, day, path, allowed)
);
-- Each key's last use. The index is on what never changes, so that an update can stay on its page.
CREATE TABLE apiauth_keyusage (
    key_id bigint PRIMARY KEY,
    app_id bigint NOT NULL,
    last_used_at timestamptz NOT NULL,
    client_ip text,
    method text NOT NULL,
    path text NOT NULL,
    allowed boolean NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX keyusage_of_app ON apiauth_keyusage (app_id);

-- How far each spool file has been drained. Written with its records, which makes the drain exactly once.
CREATE TABLE apiauth_spoolfile (
    name text PRIMARY KEY,
    host text NOT NULL,
    drained_bytes bigint NOT NULL,
    records bigint NOT NULL,
    quarantined bigint NOT NULL,
    updated_at timestamptz NOT NULL,
    finished_at timestamptz
);

-- What each gateway process has taken in: every change by a transaction below `generation`, and exactly those
-- that `seen` shows in the history of `epoch`. A row is there before its gateway answers by what it has loaded, and
-- says for how long that goes on answering where it hears no more of the database.
CREATE TABLE apiauth_gatewaystatus (
    incarnation uuid PRIMARY KEY,
    host text NOT NULL,
    pid integer NOT NULL,
    limits text NOT NULL DEFAULT 'host',
    stale_bound_seconds double precision NOT NULL DEFAULT 15,
    generation bigint NOT NULL,
    epoch bigint NOT NULL DEFAULT 0,
    seen pg_snapshot NOT NULL DEFAULT '1:1:',
    confirmed_at timestamptz NOT NULL,
    started_at timestamptz NOT NULL
);

-- Up to which moment every decision of a host's gateways is in these tables, as their worker says each second. The row
-- goes with a worker that stops where nothing waits and no gateway runs; that of a host which fell silent stays a day.
CREATE TABLE apiauth_workerstatus (
    host text PRIMARY KEY,
    complete_until timestamptz NOT NULL,
    reported_at timestamptz NOT NULL
);

-- Up to which moment the decisions of all hosts are here; of a host whose gateways no worker serves, up to their start.
CREATE FUNCTION keystead_log_complete_until() RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT coalesce(min(coalesce(worker.complete_until, gateway.started_at)), clock_timestamp())
    FROM apiauth_workerstatus AS worker
    FULL JOIN (SELECT host, min(started_at) AS started_at FROM apiauth_gatewaystatus GROUP BY host) AS gateway
        USING (host)
$$;

-- How much of a limit's window is leased to hosts that share their limits, and how much the last lease was of that.
-- Logged, unlike what else could be counted anew: emptied by a crash, it would lease the same calls twice. Rows are
-- updated in place for as long as their window lasts, hence the room in each page.
CREATE TABLE apiauth_limitlease (
    identity bytea NOT NULL,
    starts_ms bigint NOT NULL,
    ends_ms bigint NOT NULL,
    leased bigint NOT NULL,
    last_lease bigint NOT NULL,
    PRIMARY KEY (identity, starts_ms)
) WITH (fillfactor = 50);
CREATE INDEX limitlease_by_end ON apiauth_limitlease (ends_ms);
