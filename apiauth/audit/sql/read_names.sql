SELECT text, id FROM apiauth_recordedname WHERE text = ANY (%(texts)s)
