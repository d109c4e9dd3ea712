"""How a gateway reaches the database: a connection that soon notices where it leads nowhere."""

from typing import Any

import psycopg


def connect(url: str) -> psycopg.Connection[Any]:
    """Return a connection that commits each statement. Raises OperationalError, after two seconds at the latest."""
    return psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=2,
        application_name="keystead-gateway",
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=2,
        tcp_user_timeout=10_000,
    )
