"""Writes decisions into the database, each once, with everything that is counted of them."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, repeat
from typing import Any, LiteralString

import psycopg

from apiauth.audit.names import Names
from apiauth.audit.record import Record
from apiauth.audit.rows import count_lines, decision_line, names_in
from apiauth.audit.statements import sql

_LINES_AT_ONCE = 500  # so that the database takes in what is there while the next lines are made


class Store:
    """Stores decisions over one connection, whose session keeps two temporary tables for it."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._names = Names(connection)
        with connection.transaction():
            connection.execute(sql("stage_decisions"))
            connection.execute(sql("stage_counts"))

    def store(self, records: Sequence[Record]) -> None:
        """Insert those records that are not there yet, and count them; the caller's transaction makes it one.

        Nearly always all are new, and COPY into the table itself costs half of what the way with a
        look at each row does. Raises what the database raises where it refuses a record.
        """
        if not records:
            return
        number_of = self._names.numbered(names_in(records))
        try:
            with self._connection.transaction():
                self._copy(sql("copy_decisions"), map(decision_line, records, repeat(number_of)))
        except psycopg.errors.UniqueViolation:
            records = self._insert_new(records, number_of)
        self._copy(sql("copy_counts"), count_lines(records))
        self._connection.execute(sql("count_batch"))

    def _insert_new(self, records: Iterable[Record], number_of: Mapping[str, int]) -> list[Record]:
        """Insert the records that are not there yet; return them, each once."""
        distinct = {record.id: record for record in records}
        self._copy(sql("copy_stage"), map(decision_line, distinct.values(), repeat(number_of)))
        return [distinct[row[0].bytes] for row in self._connection.execute(sql("record_new"))]

    def _copy(self, statement: LiteralString, lines: Iterable[str]) -> None:
        remaining = iter(lines)
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            while block := "".join(islice(remaining, _LINES_AT_ONCE)):
                copy.write(block)
