"""Makes decisions as a busy app would have them, inside a database: ten million in minutes.

How they come there is not what is measured here, see `bench.drain`; the rows, indexes and counts
are those that the worker would have made.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from pathlib import Path
from typing import Any

import psycopg

from apiauth.audit.names import Names
from apiauth.audit.partitions import ensure_partitions
from apiauth.audit.statements import sql, statements
from apiauth.audit.store import Store
from apiauth.core import clock

APP = 11
KEYS, PATHS = 2_000, 60
FIRST_KEY = 1_000
NODE = "gateway-1.internal"
DAYS = 30
# What becomes of a call ('' is allowed), and how often in a thousand.
_OUTCOMES = {
    "": 950,
    "rate_limited": 30,
    "permission_denied": 10,
    "key_unknown": 5,
    "ip_not_allowed": 3,
    "key_expired": 2,
}
_fill = statements(Path(__file__).parent)


def hot_key() -> int:
    """Return the key that is used most."""
    return FIRST_KEY


def fill(connection: psycopg.Connection[Any], rows: int) -> datetime:
    """Record so many decisions, spread evenly over the 30 days before now; return what now was.

    Day by day, each in a transaction of its own: what an interrupted run has made is gone on with.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS bench_day (number integer PRIMARY KEY, ends_at timestamptz NOT NULL)"
    )
    begun = connection.execute("SELECT max(ends_at), count(*) FROM bench_day").fetchone()
    assert begun is not None
    end, done = begun[0] or clock.now(), begun[1]
    _make_partitions(connection, end)
    Store(connection)  # makes the tables that counts are staged in
    for day in range(done, DAYS):
        with connection.transaction():
            _fill_day(connection, rows, day, end)
            connection.execute("INSERT INTO bench_day VALUES (%s, %s)", [day, end])
    if done < DAYS:
        connection.execute(sql("forget_minutes"))
        connection.execute("VACUUM (ANALYZE)")
    return end


def _make_partitions(connection: psycopg.Connection[Any], end: datetime) -> None:
    for days_ago in range(DAYS, -1, -7):
        ensure_partitions(connection, today=(end - timedelta(days=days_ago)).date())
    ensure_partitions(connection, today=end.date())


def fill_key(connection: psycopg.Connection[Any], rows: int, end: datetime) -> None:
    """Record so many allowed calls of the hot key, spread over the six days before `end`."""
    ensure_partitions(connection, today=(end - timedelta(days=6)).date())
    ensure_partitions(connection, today=end.date())
    with connection.transaction():
        Store(connection)
        _fill_rows(connection, _Span(end - timedelta(days=6), timedelta(days=6), rows), range(rows), 1, {"": 1000})
        _count(connection, end - timedelta(days=6), end, "minute")
    connection.execute("VACUUM (ANALYZE)")


@dataclass(frozen=True, slots=True)
class _Span:
    """So many decisions spread evenly over a time."""

    start: datetime
    length: timedelta
    rows: int


def _fill_day(connection: psycopg.Connection[Any], rows: int, day: int, end: datetime) -> None:
    first = end - timedelta(days=DAYS)
    numbers = range(rows * day // DAYS, rows * (day + 1) // DAYS)
    connection.execute("SELECT setseed(%s)", [day / DAYS])  # the same rows in every run
    _fill_rows(connection, _Span(first, timedelta(days=DAYS), rows), numbers, KEYS, _OUTCOMES)
    start = first + timedelta(days=day)
    _count(connection, start, start + timedelta(days=1), "minute" if day >= DAYS - 3 else "hour")


def _fill_rows(
    connection: psycopg.Connection[Any], span: _Span, numbers: range, keys: int, outcomes: dict[str, int]
) -> None:
    called = [f"Billing worker {key}" for key in range(keys)]
    number_of = Names(connection).numbered([*called, NODE])
    where = {
        "app_id": APP, "first_key": FIRST_KEY, "names": [number_of[name] for name in called], "node": number_of[NODE],
        "keys": _zipf(keys), "paths": _zipf(PATHS), "outcomes": list(outcomes),
        "shares": list(accumulate(outcomes.values())), "first_ms": clock.to_ms(span.start),
        "length_ms": span.length // timedelta(milliseconds=1), "rows": span.rows, "first": numbers.start,
        "last": numbers.stop,
    }  # fmt: skip
    connection.execute(_fill("fill_decisions"), where)


def _count(connection: psycopg.Connection[Any], start: datetime, end: datetime, step: str) -> None:
    connection.execute(_fill("fill_counts"), {"start": start, "end": end, "step": step})
    connection.execute(sql("count_batch"))


def _zipf(count: int) -> list[float]:
    return list(accumulate(1 / rank for rank in range(1, count + 1)))
