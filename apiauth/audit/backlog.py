"""How far the worker of a host is behind: what waits in the spool, and for how long."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from apiauth.audit.drain import FRAME_BYTES
from apiauth.audit.folder import shown, spool_files
from apiauth.audit.record import Intact, read_frames


@dataclass(frozen=True, slots=True)
class Backlog:
    """Bytes that wait to be drained, and for how many seconds the oldest decision among them has."""

    bytes: int
    seconds: float


def measure(folder: Path, drained: Mapping[str, int], now: datetime) -> Backlog:
    """Return what waits in a spool; `drained` says how many bytes of each file are in the database."""
    waiting, oldest = 0, now.timestamp()
    for path in spool_files(folder):
        offset = drained.get(shown(path.name), 0)
        try:
            size = path.stat().st_size
            if size > offset:
                waiting += size - offset
                oldest = min(oldest, _moment_at(path, offset))
        except OSError:  # drained and deleted since the listing, or not ours to read: the drain says so
            continue
    return Backlog(waiting, now.timestamp() - oldest)


def _moment_at(path: Path, offset: int) -> float:
    """Return when the first decision behind an offset was made; where none can be read, when the file was written."""
    with path.open("rb") as file:
        data = os.pread(file.fileno(), FRAME_BYTES, offset)
    for found in read_frames(data, offset, is_complete=True):
        if isinstance(found, Intact):
            return found.record.moment_ms / 1000
    return path.stat().st_mtime
