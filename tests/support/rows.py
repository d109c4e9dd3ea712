"""What stands in the database, so that a test can say that nothing of it changed."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

Rows = dict[str, list[str]]


def every_row(*, but: tuple[str, ...] = ()) -> Rows:
    """Return each row of each table as text, `but` some tables."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = current_schema()::regnamespace ORDER BY relname"
        )
        tables = [name for (name,) in cursor.fetchall() if name not in but]
        found: Rows = {}
        cursor.execute(" UNION ALL ".join(f"SELECT '{t}', row_to_json(r)::text FROM \"{t}\" r" for t in tables))
        for table, row in cursor.fetchall():
            found.setdefault(table, []).append(row)
    return {table: sorted(rows) for table, rows in found.items()}


@contextmanager
def undone() -> Iterator[None]:
    """Take back whatever the block did to the database, so that one failing case does not fail the next."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
