"""What the processes of a host say of themselves, each in a file of its own beside the spool.

Gateways share a port, so whoever asks for metrics meets any one of them: it answers for all, and
for the worker, from these files. A report that is not renewed is that of a process that has ended or hangs.
"""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog

FOLDER = "metrics"
RENEWED_WITHIN_SECONDS = 10.0
FORGOTTEN_AFTER_SECONDS = 3600.0
EVERY_SECONDS = 1.0

Report = TypeVar("Report")

log = structlog.get_logger(__name__)


class Reports:
    """The reports about the processes of one kind that share a spool."""

    def __init__(self, spool: Path, kind: str) -> None:
        self._folder = spool / FOLDER
        self._kind = kind
        self._own = self._folder / f"{kind}-{os.getpid()}.json"

    def write(self, report: Any) -> None:
        """Replace this process's own report. Where the disk takes none, there is none: it must stop nobody."""
        partial = self._own.with_suffix(".partial")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial.write_bytes(msgspec.json.encode(report))
            partial.rename(self._own)
        except OSError as error:
            log.warning("reports.not_written", kind=self._kind, error=error.strerror)

    def remove(self) -> None:
        """Take this process's own report away, at its end."""
        self._own.unlink(missing_ok=True)

    def read(self, shape: type[Report]) -> dict[str, Report]:
        """Return the reports that are renewed, by the pid of their process."""
        found = {}
        now = time.time()
        for path in sorted(self._folder.glob(f"{self._kind}-*.json")):
            with suppress(OSError, msgspec.MsgspecError):  # it has just ended, or is of another release
                age = now - path.stat().st_mtime
                if age <= RENEWED_WITHIN_SECONDS:
                    found[path.stem.rpartition("-")[2]] = msgspec.json.decode(path.read_bytes(), type=shape)
                elif age > FORGOTTEN_AFTER_SECONDS:
                    path.unlink(missing_ok=True)
        return found
