SELECT count(*) FROM apiauth_key
