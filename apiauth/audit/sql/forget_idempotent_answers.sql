DELETE FROM apiauth_idempotentanswer WHERE created_at < now() - interval '24 hours'
