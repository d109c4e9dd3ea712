"""Counts requests in fixed windows: at most N over all gateway processes of this host, exactly.

The counts are in a file that every process maps, under one lock. The lock is the kernel's
byte-range lock, which goes with a process that is killed; the file stays, so a restart goes on
in the same window. Threads of one process do not exclude each other by such a lock, so they
have one of their own in front of it.
"""

import fcntl
import hashlib
import mmap
import os
import struct
import threading
from collections.abc import Sequence
from pathlib import Path

from apiauth.core.limits import LimitRule

SLOTS = 1 << 18
PROBES = 64
_VERSION = 1
_HEADER = struct.Struct("<8sII")
_MAGIC = b"KSLIMITS"
_FIRST_SLOT = 4096
_SLOT = struct.Struct("<16sQQQ")
_WINDOW = struct.Struct("<QQQ")  # the window's start and end in milliseconds, and the count
_IDENTITY_BYTES = 16
_KNOWN_PLACES = 100_000

Claim = tuple[LimitRule, bytes]
ADMITTED = -1


def identity_of(rule: LimitRule, *subject: object) -> bytes:
    """Return what a count is found by: the rule and whom it counts, never the window alone."""
    text = "\0".join((rule.id, *map(str, subject)))
    return hashlib.blake2b(text.encode(), digest_size=_IDENTITY_BYTES).digest()


class Limiter:
    """The counts of one host. Bounded: where there is no room for another count, its call is denied."""

    def __init__(self, folder: Path, slots: int = SLOTS) -> None:
        if slots & (slots - 1):
            raise ValueError("the number of slots must be a power of two")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._slots = slots
        # Closing any descriptor of the file would drop this process's lock on it, so there is one, for life.
        path = folder / f"limits-{_VERSION}-{slots}.map"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._prepare_file()
        self._map = mmap.mmap(self._descriptor, _FIRST_SLOT + slots * _SLOT.size)
        self._lock = threading.Lock()
        self._places: dict[bytes, int] = {}

    def close(self) -> None:
        """Let go of the file; its counts stay."""
        self._map.close()
        os.close(self._descriptor)

    def take(self, claims: Sequence[Claim], now_ms: int) -> tuple[int, list[int]]:
        """Count one call against every claim, or against none where one of them is used up.

        Returns ADMITTED, or the index of the first claim that denies; and what is left of each.
        """
        with self._lock:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1)
            try:
                return self._take(claims, now_ms)
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1)

    def _take(self, claims: Sequence[Claim], now_ms: int) -> tuple[int, list[int]]:
        writes = []
        left = []
        denied = ADMITTED
        for index, (rule, identity) in enumerate(claims):
            start, end = rule.window_at(now_ms)
            place = self._place(identity, start, end, now_ms)
            count = self._count(place, start) if place is not None else rule.max_requests
            if count >= rule.max_requests:
                denied = index if denied == ADMITTED else denied
            writes.append((place, start, end, count + 1))
            left.append(max(0, rule.max_requests - count))
        if denied != ADMITTED:
            return denied, left
        for place, start, end, count in writes:
            assert place is not None
            _WINDOW.pack_into(self._map, place + _IDENTITY_BYTES, start, end, count)
        return ADMITTED, [remaining - 1 for remaining in left]

    def _count(self, place: int, start: int) -> int:
        """Return the count of a slot in the window that begins at `start`.

        A slot of a later window means that the clock was set back: its count goes on, since
        a second window for the same time would admit twice as many.
        """
        slot_start, _, count = _WINDOW.unpack_from(self._map, place + _IDENTITY_BYTES)
        return count if slot_start >= start else 0

    def _place(self, identity: bytes, start: int, end: int, now_ms: int) -> int | None:
        """Return where an identity's slot is, making one where there is room; None where there is none."""
        place = self._places.get(identity)
        if place is not None and self._map[place : place + _IDENTITY_BYTES] == identity:
            return place
        place = self._search(identity, start, end, now_ms)
        if place is not None:
            if len(self._places) >= _KNOWN_PLACES:
                self._places.clear()
            self._places[identity] = place
        return place

    def _search(self, identity: bytes, start: int, end: int, now_ms: int) -> int | None:
        """Look through the places an identity may have: its own, else the first that is free or over.

        A slot that was never used ends the search, since slots are only ever taken over.
        """
        first = int.from_bytes(identity[:8], "little")
        vacant = None
        for probe in range(PROBES):
            place = _FIRST_SLOT + ((first + probe) & (self._slots - 1)) * _SLOT.size
            found, _, slot_end, _ = _SLOT.unpack_from(self._map, place)
            if found == identity:
                return place
            if vacant is None and slot_end <= now_ms:
                vacant = place
            if slot_end == 0:
                break
        if vacant is not None:
            _SLOT.pack_into(self._map, vacant, identity, start, end, 0)
        return vacant

    def _prepare_file(self) -> None:
        """Lay the file out, once; its blocks are reserved, as a full disk would kill whoever touches a hole."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1)
        try:
            header = os.pread(self._descriptor, _HEADER.size, 0)
            if header == _HEADER.pack(_MAGIC, _VERSION, self._slots):
                return
            os.ftruncate(self._descriptor, 0)
            os.posix_fallocate(self._descriptor, 0, _FIRST_SLOT + self._slots * _SLOT.size)
            os.pwrite(self._descriptor, _HEADER.pack(_MAGIC, _VERSION, self._slots), 0)
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1)
