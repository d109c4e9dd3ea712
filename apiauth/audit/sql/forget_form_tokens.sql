-- A form's session is over by then, so the form cannot come back.
DELETE FROM apiauth_formtoken WHERE created_at < now() - interval '24 hours'
