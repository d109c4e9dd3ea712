-- Which peppers this database's keys were made under, and which of them live keys still need.
SELECT version, fingerprint,
       EXISTS (SELECT FROM apiauth_key WHERE pepper_version = version AND revoked_at IS NULL) AS is_needed
FROM apiauth_peppercheck
ORDER BY version
