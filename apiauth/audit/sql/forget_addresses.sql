-- The address of a key's last call goes with the decision about it; when that was stays. A row that is just being
-- written has an address that is new.
UPDATE apiauth_keyusage SET client_ip = NULL WHERE key_id IN (
    SELECT usage.key_id
    FROM apiauth_keyusage AS usage
    JOIN apiauth_app AS app ON app.id = usage.app_id
    WHERE
        app.policy #>> '{audit,keep_days}' IS NOT NULL
        AND usage.client_ip IS NOT NULL
        AND usage.last_used_at
        < (%(today)s::date - (app.policy #>> '{audit,keep_days}')::integer)::timestamp AT TIME ZONE 'UTC'
    LIMIT %(most)s
    FOR UPDATE OF usage SKIP LOCKED
)
