"""The durable local log that every decision goes into before its answer goes out.

One file belongs to one incarnation of one process, which holds a lock on it for life: a file
that nobody locks is finished, whether its owner sealed it or was killed. A file is born
under another name and renamed once it is locked, so that no reader meets it unlocked.

Where the disk is full, a file that was given its room beforehand takes over; where that is used up
too, a second sink may take the records. Otherwise they are refused, and no answer goes out.

A record is acknowledged when one `write` has taken all of it: it then survives the death of
the process. Surviving the death of the machine takes `fdatasync`, which runs every 50 ms for
all records since the last one, or before each acknowledgement (`sync="always"`).
"""

import errno
import fcntl
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import structlog

from apiauth.audit.record import Record, frame, record_of
from apiauth.audit.room import Room, allocate, free_bytes, make_folder, quarantined_in, sync_folder, used_of
from apiauth.core.errors import Unavailable

SUFFIX = ".spool"
BIRTH_SUFFIX = ".birth"
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
SEGMENT_BYTES = 64 * 1024 * 1024
SYNC_SECONDS = 0.05
RESERVE_SECONDS = 5.0

log = structlog.get_logger(__name__)


class SpoolFull(Unavailable):
    """The decision cannot be recorded just now, so it is not made. Try again shortly."""

    code = "unrecordable"


def host_name() -> str:
    """Return this host's name as it may stand in a file's name."""
    return re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())[:64] or "host"


def is_owned(descriptor: int) -> bool:
    """Tell whether the process that writes an open spool file still lives and has not sealed it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


class _Segment:
    """One spool file that this process may write to, and the frames in it that may not be on disk yet."""

    def __init__(self, folder: Path, reserved_bytes: int = 0) -> None:
        """Make the file under its other name, with its room where some is asked for. Raises OSError."""
        self.path = folder / f"{host_name()}-{os.getpid()}-{uuid.uuid4().hex}{SUFFIX}"
        self._birth = self.path.with_suffix(BIRTH_SUFFIX)
        self.descriptor = os.open(self._birth, _CREATE, 0o600)
        self.size = 0
        self.unsynced: list[bytes] = []
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if reserved_bytes:
                allocate(self.descriptor, reserved_bytes)
        except OSError:
            self.discard()
            raise

    def begin(self, frames: list[bytes]) -> bool:
        """Give the file its name and write its first frames; or remove it and return False."""
        try:
            os.rename(self._birth, self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            log.error("spool.begin_failed", file=self.path.name, error=error.strerror)
            self.discard()
            return False
        if frames and not self.write(frames):
            self.discard()
            return False
        return True

    def write(self, frames: list[bytes]) -> bool:
        """Append all frames and return True; or leave the file as it was and return False."""
        data = frames[0] if len(frames) == 1 else b"".join(frames)
        try:
            written = os.write(self.descriptor, data)
        except OSError as error:
            log.error("spool.write_failed", file=self.path.name, error=error.strerror)
            written = 0
        if written != len(data):
            self._take_back()
            return False
        self.size += written
        self.unsynced += frames
        return True

    def _take_back(self) -> None:
        """Cut a half-written frame off again; a reader would skip it, but count it as damage."""
        try:
            os.ftruncate(self.descriptor, self.size)
        except OSError as error:
            log.error("spool.truncate_failed", file=self.path.name, error=error.strerror)
            self.size = os.fstat(self.descriptor).st_size  # the torn frame stays; what follows must not be cut for it

    def discard(self) -> None:
        """Remove a file into which nothing was written."""
        self.path.unlink(missing_ok=True)
        self._birth.unlink(missing_ok=True)
        self.seal()

    def seal(self) -> None:
        """Give the file up: its lock goes with it, so the worker may finish and delete it."""
        os.close(self.descriptor)


def _first_segment(folder: Path) -> _Segment | None:
    """Return a file to begin with, or None where the disk takes none just now: each append tries anew."""
    try:
        segment = _Segment(folder)
    except OSError as error:
        log.error("spool.no_new_file", error=error.strerror)
        return None
    return segment if segment.begin([]) else None


class Spool:
    """Takes decisions from all threads of one process; `append` returns when one is safe.

    Locks are taken in this order: `_sync_lock`, then `_lock`. A file is only closed under the
    first, so that nobody calls fdatasync on a descriptor that has become another file's.
    """

    def __init__(
        self,
        folder: Path,
        sync: Literal["50ms", "always"] = "50ms",
        segment_bytes: int = SEGMENT_BYTES,
        reserve_bytes: int = 0,
        second_sink: Callable[[Sequence[Record]], None] | None = None,
    ) -> None:
        make_folder(folder)
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._sync_each = sync == "always"
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._dirty = threading.Event()
        self._closed = threading.Event()
        self._second_sink = second_sink
        self._reserve_bytes = reserve_bytes
        self._reserve: _Segment | None = None
        self._reserve_tried = float("-inf")
        self._segment: _Segment | None = _first_segment(folder)
        self._retired: list[_Segment] = []
        self._owed: list[bytes] = []
        self._set_aside()
        self._thread = threading.Thread(target=self._sync_regularly, name="spool-sync", daemon=True)
        self._thread.start()

    def append(self, record: Record) -> None:
        """Return once the record is in the file; raise SpoolFull where it cannot be."""
        self.append_frames([frame(record)])

    def append_all(self, records: Iterable[Record]) -> None:
        """Return once all records are in the file; raise SpoolFull where they cannot be, and none is."""
        self.append_frames([frame(record) for record in records])

    def append_frames(self, frames: list[bytes]) -> None:
        """Do as `append_all` does, with the frames of the records."""
        try:
            with self._lock:
                segment = self._segment
                if segment is None or segment.size >= self._segment_bytes or not segment.write(frames):
                    self._write_elsewhere(frames)
            if self._sync_each:
                self._sync_now()
            elif not self._dirty.is_set():
                self._dirty.set()
        except SpoolFull:
            self._store_elsewhere(frames)

    def room(self) -> Room:
        """Return how much of its disk the spool has used, and whether its reserve is whole."""
        has_reserve = self._reserve is not None or not self._reserve_bytes
        return Room(used_of(self._folder), has_reserve, quarantined_in(self._folder))

    def _store_elsewhere(self, frames: list[bytes]) -> None:
        """Hand records that the disk does not take to the second sink. Raises SpoolFull where there is none."""
        if self._second_sink is None:
            raise SpoolFull
        self._second_sink([record_of(each) for each in frames])

    def close(self) -> None:
        """Make everything durable and seal the file."""
        self._closed.set()
        self._dirty.set()
        self._thread.join()
        with self._lock:
            if self._segment is not None:
                self._retired.append(self._segment)
                self._segment = None
            if self._reserve is not None:
                self._reserve.discard()
                self._reserve = None
        self._sync()

    def _write_elsewhere(self, frames: list[bytes]) -> None:
        """Start a new file with these frames: there is none, or it is full or refuses. Called under the lock."""
        fresh = self._new_segment(frames) or self._take_reserve(frames)
        if fresh is None:
            raise SpoolFull
        if self._segment is not None:
            self._retired.append(self._segment)
        self._segment = fresh

    def _new_segment(self, frames: list[bytes]) -> _Segment | None:
        try:
            fresh = _Segment(self._folder)
        except OSError as error:
            log.error("spool.no_new_file", error=error.strerror)
            return None
        return fresh if fresh.begin(frames) else None

    def _take_reserve(self, frames: list[bytes]) -> _Segment | None:
        reserve, self._reserve = self._reserve, None
        if reserve is None:
            return None
        log.error("spool.reserve_begun", bytes=self._reserve_bytes)
        return reserve if reserve.begin(frames) else None

    def _set_aside(self) -> None:
        """Make the reserve where it is wanted and missing: every so often, and only where as much stays free."""
        due = time.monotonic() - self._reserve_tried >= RESERVE_SECONDS
        if not self._reserve_bytes or self._reserve is not None or not due:
            return
        self._reserve_tried = time.monotonic()
        try:
            if free_bytes(self._folder) < 2 * self._reserve_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._reserve = _Segment(self._folder, self._reserve_bytes)
        except OSError as error:
            log.error("spool.no_reserve", bytes=self._reserve_bytes, error=error.strerror)

    def _sync_regularly(self) -> None:
        while not self._closed.is_set():
            self._dirty.wait()
            self._closed.wait(SYNC_SECONDS)
            self._dirty.clear()
            if not self._sync():
                self._dirty.set()
            self._set_aside()

    def _sync_now(self) -> None:
        """Return when every record so far is on disk; one new file is tried where the disk fails."""
        if not self._sync() and not self._sync():
            raise SpoolFull

    def _sync(self) -> bool:
        """Make durable what was written so far; tell whether all of it is. Threads share one run's result."""
        with self._sync_lock:
            with self._lock:
                retired, self._retired = self._retired, []
                current = self._segment
            for segment in retired:
                self._sync_segment(segment)
                segment.seal()
            if current is not None and not self._sync_segment(current):
                current.seal()
            return self._write_owed()

    def _sync_segment(self, segment: _Segment) -> bool:
        """Make one file durable, or note that its frames are owed to another one.

        The kernel forgets a page that it failed to write: a second fdatasync of the same file
        could succeed without having written anything, so a file that fails once is dead.
        """
        with self._lock:
            count = len(segment.unsynced)
        if not count:
            return True
        try:
            os.fdatasync(segment.descriptor)
        except OSError as error:
            log.error("spool.file_dead", file=segment.path.name, error=error.strerror)
            with self._lock:
                self._owed += segment.unsynced
                self._segment = None if self._segment is segment else self._segment
                self._retired = [other for other in self._retired if other is not segment]
            return False
        with self._lock:
            del segment.unsynced[:count]
        return True

    def _write_owed(self) -> bool:
        """Write frames of dead files again; where they did arrive, the drain keeps one of the two."""
        with self._lock:
            if not self._owed:
                return True
            if self._segment is None or not self._segment.write(self._owed):
                try:
                    self._write_elsewhere(self._owed)
                except SpoolFull:
                    log.error("spool.owed", records=len(self._owed))
                    return False
            self._owed = []
        return False  # written, and not on disk before the next run
