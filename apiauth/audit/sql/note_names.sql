-- In order, so that two workers who meet the same new names wait for each other and not in a circle.
INSERT INTO apiauth_recordedname (text)
SELECT text FROM unnest(%(texts)s::text[]) AS text ORDER BY text
ON CONFLICT (text) DO NOTHING
