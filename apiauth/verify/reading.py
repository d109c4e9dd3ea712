"""What the snapshot reads: rows that changed since a horizon, at first all of them, and keys by their digests."""

import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, LiteralString, NamedTuple

import psycopg

from apiauth.audit.statements import statements

sql = statements(Path(__file__).parent / "sql")

_FETCH_ROWS = 2_000

Row = tuple[Any, ...]


class Heading(NamedTuple):
    """What a poll begins with; see sql/heading.sql."""

    horizon: int
    seen: str
    epoch: int
    identity: str
    database_us: int
    key_estimate: int
    has_changes: bool
    asked_ns: int = 0
    answered_ns: int = 0


class Reading:
    """The rows that changed since a horizon, over one connection; horizon 0 is before everything."""

    def __init__(
        self, connection: psycopg.Connection[Any], horizon: int, on_progress: Callable[[], object] = lambda: None
    ) -> None:
        self._connection = connection
        self._horizon = horizon
        self._since = {"horizon": str(horizon)}
        self._on_progress = on_progress

    def heading(self) -> Heading:
        """Return the heading, with the moments of the monotonic clock between which it was told."""
        asked = time.monotonic_ns()
        row = self._connection.execute(sql("heading"), self._since).fetchone()
        assert row is not None
        return Heading(*row)._replace(asked_ns=asked, answered_ns=time.monotonic_ns())

    def changes(self) -> tuple[Heading, list[list[Row]]]:
        """Return the heading and what changed of schemes, apps, keys and backend keys, in one snapshot.

        All of it is asked for at once: under load each answer that is waited for costs this
        thread a turn in the queue for the interpreter, and a revoke waits with it.
        """
        statements = (sql("schemes"), sql("apps"), sql("keys") + sql("keys_changed"), sql("backend_keys"))
        execute = self._connection.execute
        asked = time.monotonic_ns()
        with self._connection.pipeline(), self._connection.transaction():
            first = execute(sql("heading"), self._since)
            cursors = [execute(statement, self._since, binary=True) for statement in statements]
        row = first.fetchone()
        assert row is not None
        heading = Heading(*row)._replace(asked_ns=asked, answered_ns=time.monotonic_ns())
        return heading, [cursor.fetchall() for cursor in cursors]

    def rows(self, name: str) -> Iterator[Row]:
        """Yield the rows of a statement that takes the horizon alone."""
        return self._read(sql(name), self._since)

    def changed_keys(self) -> Iterator[Row]:
        """Yield the keys that changed, one by one."""
        return self._read(sql("keys") + sql("keys_changed"), self._since)

    def newest_keys(self, most: int) -> Iterator[Row]:
        """Yield so many keys, the newest first."""
        return self._read(sql("keys") + sql("keys_newest"), {"most": most})

    def digests(self) -> Iterator[bytes]:
        """Yield the digest of every key."""
        return (row[0] for row in self._read(sql("keys_digests"), {}))

    def count_keys(self) -> int:
        """Return how many keys there are."""
        row = self._connection.execute(sql("keys_counted")).fetchone()
        assert row is not None
        return int(row[0])

    def _read(self, statement: LiteralString, parameters: dict[str, Any]) -> Iterator[Row]:
        """Yield rows of the first read, which takes much and must not hold all of it twice in memory."""
        with self._connection.cursor(name="everything", binary=True) as cursor:
            cursor.itersize = _FETCH_ROWS
            for number, row in enumerate(cursor.execute(statement, parameters)):
                if number % _FETCH_ROWS == 0:
                    self._on_progress()
                yield row


def keys_of(connection: psycopg.Connection[Any], digests: Collection[bytes]) -> list[Row]:
    """Return the keys with these digests."""
    return connection.execute(sql("keys") + sql("keys_presented"), {"digests": list(digests)}, binary=True).fetchall()
