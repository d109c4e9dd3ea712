"""Values and pure functions: nothing here knows Django, a database or a socket."""
