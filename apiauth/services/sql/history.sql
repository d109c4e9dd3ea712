-- Which history this is, and the newest action that its data had when it began: what was done later is not in it.
-- An id begins with its row's moment, so that one look into the index finds the action.
SELECT epoch, since, is_noted, (
    SELECT at FROM apiauth_activityentry WHERE NOT is_noted OR id < before ORDER BY id DESC LIMIT 1
)
FROM (
    SELECT epoch, since, identity = keystead_identity() AS is_noted,
        ((extract(epoch FROM since) * 1000)::bigint - %(epoch_ms)s) << %(random_bits)s AS before
    FROM apiauth_history
) AS history
