"""Which history the database is on: after a restore its data reaches up to an earlier moment."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import connection

from apiauth.audit.statements import statements
from apiauth.core import ids

sql = statements(Path(__file__).parent / "sql")


@dataclass(frozen=True, slots=True)
class History:
    """One history of a database. `reaches` is the moment of the newest action that its data had when it began."""

    epoch: int
    since: datetime
    is_noted: bool
    reaches: datetime | None

    @property
    def is_first(self) -> bool:
        """Tell whether the database was never restored, failed over or emptied."""
        return self.epoch == 1 and self.is_noted


def current() -> History:
    """Return the history that the database is on."""
    with connection.cursor() as cursor:
        cursor.execute(sql("history"), {"epoch_ms": ids.EPOCH_MS, "random_bits": ids.RANDOM_BITS})
        row = cursor.fetchone()
    assert row is not None
    return History(*row)
