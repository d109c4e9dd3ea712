"""How a gateway reaches the database: a connection that soon notices where it leads nowhere."""

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict


def connect(url: str, settings: str = "") -> psycopg.Connection[Any]:
    """Return a connection that commits each statement. Raises OperationalError, after two seconds at the latest.

    `settings`, such as `-c name=value`, come into force with the login, beside those that the URL has.
    """
    return psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=2,
        application_name="keystead-gateway",
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=2,
        tcp_user_timeout=10_000,
        options=options_of(url, settings),
    )


def options_of(url: str, settings: str) -> str:
    """Return the options that a URL has, with further settings behind them."""
    given = conninfo_to_dict(url).get("options") or ""
    return f"{given} {settings}".strip()
