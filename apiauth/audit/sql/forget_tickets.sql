-- A ticket's row is kept for 24 hours after its end, so that its page can still say what became of it.
WITH spent AS (
    SELECT id FROM apiauth_ticket WHERE expires_at < now() - interval '24 hours' ORDER BY expires_at LIMIT 5000
), unlinked AS (
    UPDATE apiauth_session SET ticket_id = NULL WHERE ticket_id IN (SELECT id FROM spent)
)
DELETE FROM apiauth_ticket WHERE id IN (SELECT id FROM spent)
