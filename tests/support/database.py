"""The test database's address, for connections that are not Django's."""

from django.db import connection
from psycopg.conninfo import make_conninfo


def dsn() -> str:
    """Return the address of the database that Django uses now."""
    settings = connection.settings_dict
    return make_conninfo(
        dbname=settings["NAME"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        host=settings["HOST"],
        port=settings["PORT"] or None,
    )
