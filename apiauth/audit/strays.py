"""Decisions that lie in the default partition, for there was none of their day when they came."""

from dataclasses import dataclass
from datetime import date

from django.db import connection

from apiauth.audit.statements import sql

MOST_COUNTED = 1000


@dataclass(frozen=True, slots=True)
class Strays:
    """How many there are, `MOST_COUNTED` at most, and the first and the last UTC day of those; None where none is."""

    count: int
    first_day: date | None
    last_day: date | None


def find() -> Strays:
    """Return what the default partition holds."""
    with connection.cursor() as cursor:
        cursor.execute(sql("strays"))
        return Strays(*cursor.fetchone())
