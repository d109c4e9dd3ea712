"""Which database a connection leads to, and whether what it says can be vouched for."""

from typing import Any

import psycopg

from apiauth.verify.reading import sql


class NotThePrimary(Exception):
    """The database is a standby, or cannot say which history it is on; it may be behind a revoke."""


class NotedByNobody(Exception):
    """The database was restored: run ./keystead migrate or start a worker, either notes its new history."""


def identify(connection: psycopg.Connection[Any]) -> str:
    """Return which history of which database this is. Raises NotThePrimary, NotedByNobody."""
    if _answer(connection, "SELECT pg_is_in_recovery()"):
        raise NotThePrimary("the database is a standby")
    identity = _answer(connection, sql("identity"))
    if not identity:
        raise NotThePrimary("the database does not say which one it is")
    if _answer(connection, sql("from_the_future")):
        raise NotedByNobody(NotedByNobody.__doc__)
    return str(identity)


def _answer(connection: psycopg.Connection[Any], statement: Any) -> Any:
    row = connection.execute(statement).fetchone()
    return row[0] if row is not None else None
