-- Where not all keys fit into memory, the newest are the likeliest to be asked for.
ORDER BY id DESC LIMIT %(most)s
