"""The JSON front doors: thin, and the only place that knows the clients' field names."""
