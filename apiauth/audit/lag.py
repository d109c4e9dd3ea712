"""What a worker says of itself: how far behind it is, and what it has moved."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from apiauth.audit import backlog
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

    def note(self, drained: int) -> None:
        """Count what was drained, and report if it is time."""
        self._drained += drained
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY_SECONDS
        offsets = dict(self._connection.execute(sql("drained_files"), {"host": host_name()}).fetchall())
        waiting = backlog.measure(self._folder, offsets, datetime.now(UTC))
        self._reports.write(WorkerReport(waiting.bytes, waiting.seconds, self._drained))
