"""How gateways and workers reach the database: over connections that soon notice where they lead nowhere."""

from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict


def connect(url: str, settings: str = "", *, name: str = "keystead-gateway") -> psycopg.Connection[Any]:
    """Return a connection that commits each statement. Raises OperationalError, after two seconds at the latest.

    `settings`, such as `-c name=value`, come into force with the login, beside those that the URL has. The
    server lists the connection by its `name`.
    """
    return psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=2,
        application_name=name,
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
