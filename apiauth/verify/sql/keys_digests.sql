SELECT digest FROM apiauth_key
