"""Tells that a file of counts had no room for another one, so that calls were denied.

It stands in the file's head, where every process of the host can read it, also one that does not count.
"""

import mmap
import struct
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from apiauth.core import clock

QUIET_MS = 3_600_000
"""Where no call was denied for so long, there is room again."""
LOG_EVERY_MS = 60_000
_AT = 1024  # between the lock and the first count
_STATE = struct.Struct("<4Q")


class Crowding(NamedTuple):
    """How many calls were denied for want of room since the file was made; and moments, in milliseconds."""

    denials: int
    since_ms: int
    latest_ms: int
    logged_ms: int

    @property
    def since(self) -> datetime | None:
        """Since when calls are denied for want of room; None where there is room, as far as anybody knows."""
        if not self.denials or clock.now_ms() - self.latest_ms > QUIET_MS:
            return None
        return clock.from_ms(self.since_ms)


NONE = Crowding(0, 0, 0, 0)


def read(memory: mmap.mmap) -> Crowding:
    """Return what a mapped file says."""
    return Crowding(*_STATE.unpack_from(memory, _AT))


def note(memory: mmap.mmap) -> bool:
    """Count a denial, under the file's lock. Tells whether it is to be logged: one a minute is."""
    known, now_ms = read(memory), clock.now_ms()
    since_ms = known.since_ms if known.since is not None else now_ms
    is_due = not 0 <= now_ms - known.logged_ms < LOG_EVERY_MS
    logged_ms = now_ms if is_due else known.logged_ms
    _STATE.pack_into(memory, _AT, known.denials + 1, since_ms, now_ms, logged_ms)
    return is_due


def latest_in(folder: Path) -> Crowding:
    """Return what the file says that was the latest to have no room, of all below a folder."""
    found = [NONE]
    for path in folder.rglob("*.map"):
        with suppress(OSError, struct.error), path.open("rb") as file:
            file.seek(_AT)
            found.append(Crowding(*_STATE.unpack(file.read(_STATE.size))))
    return max(found, key=lambda each: each.latest_ms)
