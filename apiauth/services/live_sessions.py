"""Finds a live session by the digest of its token, which every page and every call of the session API asks first.

The statement stands in a file: Django would write it anew each time, for longer than PostgreSQL takes to answer it.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from django.db import connection, models
from psycopg.sql import SQL, Composed, Identifier

from apiauth.audit.statements import statements
from apiauth.models import App, Deployment, RateLimitScheme, Session

Model = TypeVar("Model", bound=models.Model)
sql = statements(Path(__file__).parent / "sql")


def find_live(digests: Sequence[bytes], *, now: datetime) -> Session | None:
    """Return the live session that one of these digests belongs to, with all that it says of its app."""
    with connection.cursor() as cursor:
        cursor.execute(_statement(), {"digests": list(digests), "now": now})
        found = cursor.fetchone()
    if found is None:
        return None
    values = iter(found)
    session, app = _read(Session, values), _read(App, values)
    deployment, scheme = _read(Deployment, values), _read(RateLimitScheme, values)
    app.deployment, app.rate_limit_scheme = deployment, scheme if scheme.pk else None
    session.app = app
    return session


@cache
def _statement() -> Composed:
    tables = {"session": Session, "app": App, "deployment": Deployment, "scheme": RateLimitScheme}
    columns = [Identifier(name, str(field.column)) for name, model in tables.items() for field in _fields(model)]
    return SQL(sql("live_session")).format(columns=SQL(", ").join(columns))


def _fields(model: type[models.Model]) -> "list[models.Field[Any, Any]]":
    return list(model._meta.concrete_fields)


def _read(model: type[Model], values: Iterator[Any]) -> Model:
    """Return a row of a model from the next of the values, which stand in the order of its fields."""
    fields = _fields(model)
    read = [_as_python(field, value) for field, value in zip(fields, values, strict=False)]
    return model.from_db(connection.alias, [field.attname for field in fields], read)


def _as_python(field: "models.Field[Any, Any]", value: Any) -> Any:
    for convert in field.get_db_converters(connection):
        value = convert(value, None, connection)
    return value
