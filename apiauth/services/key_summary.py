"""How many keys work, and the few of them about which something is to be done: asked of the database at once."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from django.core.exceptions import EmptyResultSet
from django.db import connection
from psycopg.sql import SQL

from apiauth.audit.statements import statements
from apiauth.core.policy import RotationPolicy
from apiauth.models import Key
from apiauth.models.key import KeyQuerySet

sql = statements(Path(__file__).parent / "sql")
_MOMENTS: Final = ("created_at", "expires_at", "overlap_ends_at")
_COLUMNS: Final = ("id", "name", "key_suffix", "replaced_by_id", *_MOMENTS)


@dataclass(frozen=True, slots=True)
class KeySummary:
    """Of keys that work: their number, each lineage once, and the first few of three kinds.

    The keys hold no more than their names, suffixes and moments. They are not to be saved.
    """

    count: int
    expiring: list[Key]
    """Those that have an end, the next to expire first."""
    replaced: list[Key]
    """Old secrets that still work, the newest first."""
    due: list[Key]
    """Those to be rotated by the moment that was asked for, the oldest first."""


def summary(
    *, keys: KeyQuerySet, rotation: RotationPolicy, due_by: datetime, most_counted: int, most_named: int, now: datetime
) -> KeySummary:
    """Return what there is to tell of some keys: how many of them work, up to so many, and a few of each kind."""
    try:
        working, values = keys.active_at(now).values_list(*_COLUMNS).query.sql_with_params()
    except EmptyResultSet:
        return KeySummary(0, [], [], [])
    age = timedelta(days=rotation.every_days or 0)
    due: list[Any] = [_latest_birth(rotation, due_by), age, rotation.enforced_from]
    statement = SQL(sql("key_summary")).format(working=SQL(working))
    with connection.cursor() as cursor:
        cursor.execute(statement, [*values, most_counted, most_named, most_named, *due, most_named])
        [(count, *kinds)] = cursor.fetchall()
    return KeySummary(count, *([_key(row) for row in kind] for kind in kinds))


def _latest_birth(rotation: RotationPolicy, due_by: datetime) -> datetime | None:
    """Return when a key was made at the latest that is due by a moment; None where none is."""
    if rotation.every_days is None or (rotation.enforced_from and rotation.enforced_from > due_by):
        return None
    return due_by - timedelta(days=rotation.every_days)


def _key(row: dict[str, Any]) -> Key:
    moments = {name: datetime.fromisoformat(row[name]) if row[name] else None for name in _MOMENTS}
    return Key(**row | moments)
