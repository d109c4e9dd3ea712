-- The live session of which one of these is the token's digest, with its app, the app's deployment, and its scheme.
SELECT {columns}
FROM apiauth_session AS session
    JOIN apiauth_app AS app ON app.id = session.app_id
    JOIN apiauth_deployment AS deployment ON deployment.id = app.deployment_id
    LEFT JOIN apiauth_ratelimitscheme AS scheme ON scheme.id = app.rate_limit_scheme_id
WHERE session.digest = ANY(%(digests)s) AND session.ended_at IS NULL AND session.expires_at > %(now)s
  AND app.deleted_at IS NULL
