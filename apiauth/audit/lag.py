"""What a worker says of itself: how far behind it is, and what it has moved.

To the host's gateways, which answer for it when metrics are asked for, by a file; to everybody who
reads the log, by a row that says up to which moment the log is complete.
"""

import time
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from apiauth.audit import backlog
from apiauth.audit.folder import shown, spool_files
from apiauth.audit.reports import EVERY_SECONDS, Reports
from apiauth.audit.spool import host_name
from apiauth.audit.statements import sql

KIND = "worker"


class WorkerReport(msgspec.Struct):
    """How many bytes wait in the spool, for how many seconds the oldest has, and how much was taken since the start."""

    lag_bytes: int
    lag_seconds: float
    drained: int


class Lag:
    """Reports once a second at most."""

    def __init__(self, connection: psycopg.Connection[Any], folder: Path) -> None:
        self._connection = connection
        self._folder = folder
        self._reports = Reports(folder, KIND)
        self._due = 0.0
        self._drained = 0
        self._served = {host_name()}

    def note(self, drained: int) -> None:
        """Count what was drained, and report if it is time."""
        self._drained += drained
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY_SECONDS
        waiting = self._measure()
        self._reports.write(WorkerReport(waiting.bytes, waiting.seconds, self._drained))
        self._connection.execute(sql("report_worker"), {"hosts": self._hosts(), "seconds": waiting.seconds})

    def leave(self) -> None:
        """Take the row away at the worker's end, if the log misses nothing of this host, and will not."""
        if not self._measure().bytes:
            self._connection.execute(sql("leave_worker"), {"hosts": self._hosts()})

    def _hosts(self) -> list[str]:
        """Return under which names gateways have written here: containers that share a spool have each its own."""
        parts = (shown(path.name).split("-") for path in spool_files(self._folder))
        self._served.update(found[0] for found in parts if len(found) == 3)
        return sorted(self._served)

    def _measure(self) -> backlog.Backlog:
        names = [shown(path.name) for path in spool_files(self._folder)]
        offsets = dict(self._connection.execute(sql("drained_files"), {"names": names}).fetchall())
        row = self._connection.execute("SELECT clock_timestamp()").fetchone()  # decisions are dated by it
        assert row is not None
        return backlog.measure(self._folder, offsets, row[0])
