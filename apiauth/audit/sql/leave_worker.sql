-- Where a gateway goes on, or was killed within a day, what it decides has to wait for the next worker.
DELETE FROM apiauth_workerstatus AS worker
WHERE host = ANY(%(hosts)s) AND NOT EXISTS (SELECT FROM apiauth_gatewaystatus WHERE host = worker.host)
