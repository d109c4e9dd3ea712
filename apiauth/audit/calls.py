"""What a key was used for lately, row by row: the material for asking what a change would break."""

from datetime import datetime
from typing import Any

from django.db import connection

from apiauth.audit.statements import sql

Call = tuple[int, str | None, str, str, str]
"""Unix time in milliseconds, address, method, path, and the required permissions as JSON text."""


def recent_calls(*, app_id: int, key_id: int, start: datetime, end: datetime, most: int) -> list[Call]:
    """Return at most so many allowed calls of a key from `start` on and before `end`, the newest first."""
    values: dict[str, Any] = {"app_id": app_id, "key_id": key_id, "start": start, "end": end, "most": most}
    with connection.cursor() as cursor:
        cursor.execute(sql("recent_calls"), values)
        calls: list[Call] = cursor.fetchall()
    return calls
