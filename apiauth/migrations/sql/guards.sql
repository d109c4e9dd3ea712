-- Rules that must hold whoever writes: services, admin, shell or raw SQL.

-- Every row that a gateway keeps in memory carries the transaction that last wrote it. Readers ask for
-- `change_xid >= horizon`, so a transaction that commits late is never skipped.
CREATE FUNCTION keystead_stamp_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.change_xid := pg_current_xact_id();
    RETURN NEW;
END $$;

-- Only a wake-up: readers poll as well, so a lost notification costs at most the poll's interval.
CREATE FUNCTION keystead_notify_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('keystead_changes', TG_TABLE_NAME);
    RETURN NULL;
END $$;

-- Which history of which database this is. A dump that is restored, a standby that is promoted and a recovery to an
-- earlier moment are other histories: transaction ids of one say nothing about another. A dump that is restored into
-- the database that it was taken from makes its tables anew, which their numbers tell.
CREATE FUNCTION keystead_identity() RETURNS text LANGUAGE sql STABLE AS $$
    SELECT concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
                     substring(pg_walfile_name(pg_current_wal_lsn()) FOR 8),
                     (SELECT oid FROM pg_database WHERE datname = current_database()),
                     to_regclass('apiauth_app')::oid, to_regclass('apiauth_key')::oid,
                     to_regclass('apiauth_ratelimitscheme')::oid, to_regclass('apiauth_backendkey')::oid)
$$;

-- What gateways hold in memory belongs to one epoch, and counts as nothing in another.
CREATE TABLE apiauth_history (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    epoch bigint NOT NULL,
    identity text NOT NULL,
    since timestamptz NOT NULL
);
INSERT INTO apiauth_history (epoch, identity, since) VALUES (1, keystead_identity(), clock_timestamp());

-- A new history begins its epoch by itself; keystead_note_history only writes down that it did.
CREATE FUNCTION keystead_epoch() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT epoch + (identity <> keystead_identity())::int FROM apiauth_history
$$;

CREATE FUNCTION keystead_begin_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE apiauth_history SET epoch = epoch + 1, since = clock_timestamp();
    RETURN NULL;
END $$;

CREATE FUNCTION keystead_refuse_delete() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are never deleted: mark them instead', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

DO $$
DECLARE watched text;
BEGIN
    FOREACH watched IN ARRAY ARRAY['app', 'key', 'ratelimitscheme', 'backendkey'] LOOP
        EXECUTE format('ALTER TABLE apiauth_%s ADD COLUMN change_xid xid8 NOT NULL DEFAULT pg_current_xact_id()', watched);
        EXECUTE format('CREATE INDEX %s_by_change ON apiauth_%s (change_xid)', watched, watched);
        EXECUTE format('CREATE TRIGGER stamp_change BEFORE INSERT OR UPDATE ON apiauth_%s '
                       'FOR EACH ROW EXECUTE FUNCTION keystead_stamp_change()', watched);
        EXECUTE format('CREATE TRIGGER notify_change AFTER INSERT OR UPDATE OR TRUNCATE ON apiauth_%s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION keystead_notify_change()', watched);
        -- No row tells that it is gone: every gateway has to read everything anew.
        EXECUTE format('CREATE TRIGGER begin_epoch AFTER TRUNCATE ON apiauth_%s '
                       'FOR EACH STATEMENT EXECUTE FUNCTION keystead_begin_epoch()', watched);
        EXECUTE format('CREATE TRIGGER refuse_delete BEFORE DELETE ON apiauth_%s '
                       'FOR EACH ROW EXECUTE FUNCTION keystead_refuse_delete()', watched);
    END LOOP;
END $$;

-- Writes down a new history; returns whether there was one. Rows of a restored dump may carry transaction ids that
-- this database has not reached yet. Once it does, a change could not be told from what is known, so such rows
-- are stamped anew. The migrations and each start of a worker call this.
CREATE FUNCTION keystead_note_history() RETURNS boolean LANGUAGE plpgsql SET statement_timeout = 0 AS $$
DECLARE watched text;
BEGIN
    IF (SELECT identity = keystead_identity() FROM apiauth_history FOR UPDATE) THEN
        RETURN false;
    END IF;
    FOREACH watched IN ARRAY ARRAY['app', 'key', 'ratelimitscheme', 'backendkey'] LOOP
        EXECUTE format('UPDATE apiauth_%s SET change_xid = DEFAULT WHERE change_xid > pg_current_xact_id()', watched);
    END LOOP;
    UPDATE apiauth_history SET epoch = epoch + 1, identity = keystead_identity(), since = clock_timestamp();
    PERFORM pg_notify('keystead_changes', 'apiauth_history');
    RETURN true;
END $$;

-- Whether a revoke may still be taken back under the app's policy. A minute is for hosts whose clocks differ: the
-- service counts exactly, by the moment at which the request came.
CREATE FUNCTION keystead_may_undo(revoked_app bigint, revoked_at timestamptz) RETURNS boolean LANGUAGE sql AS $$
    SELECT undo > 0 AND clock_timestamp() < revoked_at + (undo + 1) * interval '1 minute'
    FROM (SELECT coalesce((policy #>> '{revocation,undo_minutes}')::int, 0) AS undo
          FROM apiauth_app WHERE id = revoked_app) AS app
$$;

-- A revoked key stays revoked, with its reason, unless all of that is taken back in time; a key replaced by rotation
-- stays replaced.
CREATE FUNCTION keystead_keep_key_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL AND (NEW.revoked_at IS DISTINCT FROM OLD.revoked_at
                                       OR NEW.revoked_reason IS DISTINCT FROM OLD.revoked_reason)
       AND NOT (NEW.revoked_at IS NULL AND NEW.revoked_reason IS NULL AND keystead_may_undo(OLD.app_id, OLD.revoked_at)) THEN
        RAISE EXCEPTION 'a revoked key is final' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'key_revoked_is_final';
    END IF;
    IF OLD.replaced_by_id IS NOT NULL AND NEW.replaced_by_id IS DISTINCT FROM OLD.replaced_by_id THEN
        RAISE EXCEPTION 'a rotated key is final' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'key_rotated_is_final';
    END IF;
    IF NEW.digest <> OLD.digest AND NEW.pepper_version = OLD.pepper_version THEN
        RAISE EXCEPTION 'a secret never changes' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'key_digest_is_final';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_final BEFORE UPDATE ON apiauth_key FOR EACH ROW EXECUTE FUNCTION keystead_keep_key_final();

CREATE FUNCTION keystead_keep_backend_key_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
        RAISE EXCEPTION 'a revoked backend key is final' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'backend_key_revoked_is_final';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_final BEFORE UPDATE ON apiauth_backendkey FOR EACH ROW EXECUTE FUNCTION keystead_keep_backend_key_final();

-- A ticket works once, whatever code asks.
CREATE FUNCTION keystead_keep_ticket_used() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.used_at IS NOT NULL AND NEW.used_at IS DISTINCT FROM OLD.used_at THEN
        RAISE EXCEPTION 'a used ticket stays used' USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'ticket_used_is_final';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_used BEFORE UPDATE ON apiauth_ticket FOR EACH ROW EXECUTE FUNCTION keystead_keep_ticket_used();

-- The activity log only grows. Personal values and their salts may be erased, nothing else may change.
CREATE FUNCTION keystead_keep_activity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF to_jsonb(NEW) - 'personal' - 'salts' <> to_jsonb(OLD) - 'personal' - 'salts' THEN
        RAISE EXCEPTION 'activity entries are final' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_entry BEFORE UPDATE ON apiauth_activityentry FOR EACH ROW EXECUTE FUNCTION keystead_keep_activity();
CREATE TRIGGER refuse_delete BEFORE DELETE ON apiauth_activityentry FOR EACH ROW EXECUTE FUNCTION keystead_refuse_delete();

-- A row's app and deployment always agree, so that no query scoped by one can reach across the other.
ALTER TABLE apiauth_app ADD CONSTRAINT app_with_deployment UNIQUE (id, deployment_id);
ALTER TABLE apiauth_key ADD CONSTRAINT key_of_deployment FOREIGN KEY (app_id, deployment_id) REFERENCES apiauth_app (id, deployment_id);
ALTER TABLE apiauth_ticket ADD CONSTRAINT ticket_of_deployment FOREIGN KEY (app_id, deployment_id) REFERENCES apiauth_app (id, deployment_id);
ALTER TABLE apiauth_session ADD CONSTRAINT session_of_deployment FOREIGN KEY (app_id, deployment_id) REFERENCES apiauth_app (id, deployment_id);

-- A moment in Unix milliseconds, as gateways reckon; without an end in either direction it is the nearest that they can.
CREATE FUNCTION keystead_ms(moment timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT (extract(epoch FROM CASE
        WHEN moment < '0001-01-01T00:00Z' THEN '0001-01-01T00:00Z'
        WHEN moment > '9999-12-31T00:00Z' THEN '9999-12-31T00:00Z'
        ELSE moment
    END) * 1000)::bigint
$$;

-- What no service writes, and what whoever reads a row of a key, an app or a scheme need not expect.
CREATE FUNCTION keystead_is_moment(moment timestamptz) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT moment IS NULL OR moment BETWEEN '0001-01-01T00:00Z' AND '9999-12-31T00:00Z'
$$;
CREATE FUNCTION keystead_is_list(texts anyarray) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(array_ndims(texts), 1) = 1 AND array_position(texts, NULL) IS NULL
$$;
ALTER TABLE apiauth_key
    ADD CONSTRAINT key_moments_are_some CHECK (
        keystead_is_moment(created_at) AND keystead_is_moment(updated_at) AND keystead_is_moment(expires_at)
        AND keystead_is_moment(overlap_ends_at) AND keystead_is_moment(revoked_at) AND keystead_is_moment(disabled_at)
    ),
    ADD CONSTRAINT key_lists_are_lists CHECK (
        keystead_is_list(permissions) AND keystead_is_list(allowed_cidrs) AND keystead_is_list(resources)
    ),
    ADD CONSTRAINT key_documents_are_such CHECK (jsonb_typeof(metadata) = 'object' AND jsonb_typeof(limits) = 'array');
ALTER TABLE apiauth_app
    ADD CONSTRAINT app_lists_are_lists CHECK (keystead_is_list(permissions) AND keystead_is_list(resources)),
    ADD CONSTRAINT app_policy_is_a_document CHECK (jsonb_typeof(policy) = 'object');
ALTER TABLE apiauth_ratelimitscheme
    ADD CONSTRAINT scheme_has_rules CHECK (jsonb_typeof(rules) = 'array' AND jsonb_array_length(rules) > 0);
