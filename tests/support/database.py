"""The test database's address, for connections that are not Django's."""

import os
from urllib.parse import urlsplit

import psycopg
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


def database_url() -> str:
    """Return the same as a URL, for processes that run Django."""
    return urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}").geturl()


DECISION_TABLES = (
    "apiauth_decision, apiauth_decisionrollup, apiauth_approllup, apiauth_keydayrollup, apiauth_minuterollup, "
    "apiauth_appminuterollup, apiauth_pathrollup, apiauth_keypathrollup, apiauth_keyusage, apiauth_spoolfile, "
    "apiauth_workerstatus"
)
HOLDS_ANYTHING = " OR ".join(f"EXISTS (SELECT FROM {table})" for table in DECISION_TABLES.split(", "))


def empty_what_was_recorded() -> None:
    """Empty what workers and gateways write: Django empties only its own tables after a test that commits."""
    with psycopg.connect(dsn(), autocommit=True, options="-c lock_timeout=20s") as direct:
        if direct.execute(f"SELECT {HOLDS_ANYTHING}").fetchone() == (True,):
            direct.execute(f"TRUNCATE {DECISION_TABLES}")
        # A gateway that was killed would be waited for until its answers count as stale.
        direct.execute("DELETE FROM apiauth_gatewaystatus")
