"""Moves decisions from spool files into the database: none lost, none twice.

A batch is one transaction: the file's row locked, its records staged by COPY, those that are
new inserted and counted, the file's offset moved on. Whatever dies in between, the offset
says exactly what is in the table.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import structlog

from apiauth.audit.folder import contents, shown
from apiauth.audit.quarantine import Piece, are_aside, put_aside
from apiauth.audit.record import Damaged, Intact, Record, read_frames
from apiauth.audit.spool import host_name, is_owned
from apiauth.audit.statements import sql
from apiauth.audit.store import Store
from apiauth.core.sockets import patience

BATCH_BYTES = 4 * 1024 * 1024
MOST_COMPLAINTS = 1_000
PATIENCE_SECONDS = 60.0  # with one batch of one file; what is cut off is drained over the next connection
_SMALLER = 4

# The database will say the same however often it is asked.
_REFUSALS = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What was read from one file: the records, the damage between them, and where it ends."""

    records: list[Record]
    damaged: list[Piece]
    start: int
    end: int
    is_finished: bool


class Drain:
    """Drains the spool files of one folder over one connection."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        folder: Path,
        batch_bytes: int = BATCH_BYTES,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._connection = connection
        self._folder = folder
        self._batch_bytes = batch_bytes
        self._patience_seconds = patience_seconds
        self._store = Store(connection)
        self._complaints: set[tuple[str, str, str | None]] = set()

    def drain(self) -> int:
        """Drain one batch of every file; return how many records and pieces of damage that were."""
        found = contents(self._folder)
        self._forget_complaints({*found.foreign, *(shown(path.name) for path in found.files)})
        for name in found.foreign:
            self._complain("drain.not_a_spool_file", name)
        return sum(self._drain_file(path) for path in found.files)

    def drain_all(self) -> int:
        """Drain until every file is empty or waits for its owner; return what `drain` returned in all."""
        total = 0
        while drained := self.drain():
            total += drained
        return total

    def _drain_file(self, path: Path) -> int:
        """Drain one batch of one file; a file that this host cannot read or clear away must not stop the others."""
        try:
            with patience(self._connection.fileno(), self._patience_seconds):
                batch = self._drain_open(path)
            if batch is not None and batch.is_finished:
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            return 0  # another worker was faster
        except psycopg.errors.LockNotAvailable:
            self._complain("drain.file_held", shown(path.name))
            return 0  # somebody holds its row, as a connection does that was lost: the others go on
        except OSError as error:
            self._complain("drain.file_failed", shown(path.name), error.strerror)
            return 0
        return len(batch.records) + len(batch.damaged) if batch is not None else 0

    def _complain(self, event: str, name: str, error: str | None = None) -> None:
        """Say what is wrong with a thing in the folder: once for as long as it lies there."""
        complaint = event, name, error
        if complaint in self._complaints or len(self._complaints) >= MOST_COMPLAINTS:
            return
        self._complaints.add(complaint)
        log.error(event, file=name, error=error)

    def _forget_complaints(self, present: set[str]) -> None:
        """Forget those about what is gone."""
        self._complaints = {complaint for complaint in self._complaints if complaint[1] in present}

    def _drain_open(self, path: Path) -> _Batch | None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            return self._drain_batch(path, descriptor)
        finally:
            os.close(descriptor)

    def _drain_batch(self, path: Path, descriptor: int) -> _Batch | None:
        """Commit one batch and return it; None where there is nothing to do or another worker does it.

        Where the database refuses a record, the batch gets smaller until it ends before that record,
        or is it: then it is put aside, for it must not stop the others.
        """
        most_bytes = self._batch_bytes
        while True:
            try:
                return self._in_transaction(path, descriptor, most_bytes)
            except _REFUSALS as error:
                log.error(
                    "drain.refused", file=shown(path.name), most_bytes=most_bytes, error=error.diag.message_primary
                )
            if most_bytes == 1:
                return self._in_transaction(path, descriptor, 1, refuse=True)
            most_bytes = max(1, most_bytes // _SMALLER)

    def _in_transaction(self, path: Path, descriptor: int, most_bytes: int, *, refuse: bool = False) -> _Batch | None:
        with self._connection.transaction():
            name = shown(path.name)
            known = self._lock(name)
            if known is None:
                return None
            offset, quarantined = known
            batch = read_batch(descriptor, offset, most_bytes)
            if refuse:
                batch = _refused(descriptor, batch)
            if batch.end == batch.start and not batch.is_finished:
                return None
            if not self._set_aside(path, descriptor, batch, quarantined, must_succeed=refuse):
                batch = replace(batch, is_finished=False)
            self._store.store(batch.records)
            self._advance(name, batch)
        return batch

    def _lock(self, name: str) -> tuple[int, int] | None:
        """Return how far a file is drained and how many pieces of it were damaged; None where another drains it."""
        self._connection.execute(sql("note_file"), {"name": name, "host": host_name()})
        return self._connection.execute(sql("lock_file"), {"name": name}).fetchone()

    def _advance(self, name: str, batch: _Batch) -> None:
        self._connection.execute(
            sql("advance_file"),
            {
                "name": name,
                "drained_bytes": batch.end,
                "records": len(batch.records),
                "quarantined": len(batch.damaged),
                "is_finished": batch.is_finished,
            },
        )

    def _set_aside(self, path: Path, descriptor: int, batch: _Batch, quarantined: int, *, must_succeed: bool) -> bool:
        """Put damaged bytes aside, and tell whether all of a finished file's are: till then it is not deleted.

        A full disk takes no copy of them. It must not keep back the records around them, which make room.
        """
        for offset, data in batch.damaged:
            log.error("drain.quarantined", file=shown(path.name), offset=offset, bytes=len(data))
        try:
            put_aside(path, batch.damaged)
            if batch.is_finished and not are_aside(path, quarantined + len(batch.damaged)):
                put_aside(path, _damage_in(descriptor))
        except OSError as error:
            self._complain("drain.quarantine_failed", shown(path.name), error.strerror)
            if must_succeed:
                raise
            return False
        return True


def read_batch(descriptor: int, offset: int, most_bytes: int) -> _Batch:
    """Read frames from an offset on: up to `most_bytes`, but one whole frame at least.

    Whether the owner lives is asked before reading: what a dead owner left is then all there.
    """
    owned = is_owned(descriptor)
    size = os.fstat(descriptor).st_size
    data = os.pread(descriptor, max(most_bytes, FRAME_BYTES), offset)
    is_complete = not owned and offset + len(data) >= size
    records: list[Record] = []
    damaged: list[Piece] = []
    end = offset
    for found in read_frames(data, offset, is_complete):
        if isinstance(found, Intact):
            records.append(found.record)
        elif isinstance(found, Damaged):
            damaged.append((found.start, data[found.start - offset : found.end - offset]))
        end = found.end
        if end - offset >= most_bytes:
            break
    return _Batch(records, damaged, offset, end, is_finished=not owned and end >= size)


def _damage_in(descriptor: int) -> Iterator[Piece]:
    """Yield all that is damaged in a file whose owner has ended."""
    start = 0
    while (batch := read_batch(descriptor, start, BATCH_BYTES)).end > start:
        yield from batch.damaged
        start = batch.end


FRAME_BYTES = 64 * 1024 + 1024  # the largest frame fits


def _refused(descriptor: int, batch: _Batch) -> _Batch:
    """Return a batch of one record as damage."""
    data = os.pread(descriptor, batch.end - batch.start, batch.start)
    return _Batch([], [(batch.start, data)], batch.start, batch.end, batch.is_finished)
