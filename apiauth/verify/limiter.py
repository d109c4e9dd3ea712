"""Counts requests in fixed windows: at most N over all gateway processes of this host, exactly.

The counts are in a file that every process maps, under one lock (`host_lock`) that goes with a
process which is killed. The file stays, so a restart goes on in the same window.

It has two parts of one size. One is for counts of apps and of keys, of which there are as many as customers
have made. The other is for counts by address, of which strangers make as many as they like: it is cut into
stretches, and each deployment counts in one of them. So who floods it crowds nobody out of the first part, and
of the second only those in the same stretch. The last byte of a count's identity says where it belongs.
"""

import fcntl
import hashlib
import mmap
import os
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import structlog

from apiauth.core.limits import LimitRule
from apiauth.verify import crowding
from apiauth.verify.host_lock import HostLock, host_lock

SLOTS = 1 << 20
"""How many counts each part has room for, at 40 bytes each."""
STRETCHES = 4
PROBES = 64
_VERSION = 3  # of the layout, and of the kind of lock that guards it
_HEADER = struct.Struct("<8sII")
_MAGIC = b"KSLIMITS"
_LOCK_AT = 64
_FIRST_SLOT = 4096
_SLOT = struct.Struct("<16sQQQ")  # an identity, its window's start and end in milliseconds, and its count
_SLOT_BUT_END = struct.Struct("<16sQ8xQ")
_WINDOW = struct.Struct("<QQQ")
_COUNT = struct.Struct("<Q")
_read_but_end, _write_count = _SLOT_BUT_END.unpack_from, _COUNT.pack_into
_IDENTITY_BYTES = 16
_DIGEST_BYTES = _IDENTITY_BYTES - 1
_OF_APPS_AND_KEYS = b"\0"  # the last byte of an identity; that of a count by address is 1 more than its stretch
_WINDOW_AT = _IDENTITY_BYTES
_COUNT_AT = _SLOT.size - _COUNT.size
_STARTING = 1  # the byte of the file that a process locks while it opens it; the first is the lock's

_opening = threading.Lock()

log = structlog.get_logger(__name__)

ADMITTED = -1


class Claim(msgspec.Struct, gc=False):
    """A limit, and what the count is found by of those whom it counts.

    It remembers what the latest call found, for the next one: where its count lies, and which window it is. A claim
    that is kept makes that call cheap, and whatever it remembers is looked at before it is believed.
    """

    rule: LimitRule
    identity: bytes
    place: int = _FIRST_SLOT
    starts_ms: int = 0
    ends_ms: int = 0

    def window_at(self, now_ms: int) -> tuple[int, int]:
        """Return the first millisecond of the window that holds `now_ms`, and the first one after it."""
        if not self.starts_ms <= now_ms < self.ends_ms:
            self.starts_ms, self.ends_ms = self.rule.window_at(now_ms)
        return self.starts_ms, self.ends_ms


class LimitsState(NamedTuple):
    """How limits are counted just now."""

    mode: Literal["host", "shared"]
    degraded_since: datetime | None
    """Since when calls may be denied that a limit has room for, as the shared count cannot be asked."""
    crowded_since: datetime | None = None
    """Since when calls are denied as the host has no room for their counts."""
    crowded_denials: int = 0
    """How many were, since the counts' file was made."""


def identity_of(rule: LimitRule, *subject: object) -> bytes:
    """Return what a count is found by: the rule and whom it counts, never the window alone."""
    return _digest(rule, subject) + _OF_APPS_AND_KEYS


def identity_by_address(rule: LimitRule, deployment_id: int, *subject: object) -> bytes:
    """Return what a count by address is found by; it lies in the stretch of its deployment."""
    return _digest(rule, (deployment_id, *subject)) + _stretch_of(deployment_id)


def _digest(rule: LimitRule, subject: Sequence[object]) -> bytes:
    text = "\0".join((rule.id, *map(str, subject)))
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()


@lru_cache(maxsize=4096)
def _stretch_of(deployment_id: int) -> bytes:
    """Return the last byte of identities by address; a digest spreads deployments whatever their ids have in common."""
    digest = hashlib.blake2b(str(deployment_id).encode(), digest_size=1).digest()
    return bytes((1 + digest[0] % STRETCHES,))


class Limiter:
    """The counts of one host. Bounded: where there is no room for another count, its call is denied; that is told."""

    _file_name = "limits"

    def __init__(self, folder: Path, slots: int = SLOTS) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._slots = slots
        self._stretch = slots // STRETCHES
        self._size = _FIRST_SLOT + (slots + STRETCHES * self._stretch) * _SLOT.size
        path = folder / f"{self._file_name}-{_VERSION}-{slots}.map"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._map, self._lock = self._open()
        self._try_acquire, self._release = self._lock.try_acquire, self._lock.release
        self._crowded_out: LimitRule | None = None

    def state(self) -> "LimitsState":
        """Return how far the limits reach, and whether they are held back."""
        crowded = crowding.read(self._map)
        return LimitsState("host", None, crowded.since, crowded.denials)

    def retry_after(self, rule: LimitRule, now_ms: int) -> int:
        """Return the whole seconds after which a call that this limit denied may be admitted."""
        return rule.seconds_left(now_ms)

    def close(self) -> None:
        """Let go of the file; its counts stay."""
        self._lock.close()
        self._map.close()
        os.close(self._descriptor)

    def take(self, claims: Sequence[Claim], now_ms: int) -> tuple[int, list[int]]:
        """Count one call against every claim, or against none where one of them is used up.

        Returns ADMITTED, or the index of the first claim that denies; and what is left of each.
        """
        problem = self._try_acquire()
        if problem:
            self._lock.acquire(problem)
        try:
            taken = self._take_one(claims[0], now_ms) if len(claims) == 1 else self._take_simply(claims, now_ms)
            if taken is not None:
                return taken
            taken = self._take_all(claims, now_ms)
        finally:
            self._release()
        self._tell_crowding()
        return taken

    def give_back(self, claims: Sequence[Claim], now_ms: int) -> None:
        """Undo what `take` counted at `now_ms`, as far as the windows are still the same."""
        self._lock_host()
        try:
            for claim in claims:
                if self._find(claim, now_ms):
                    self._give_back(claim.place, claim.starts_ms)
        finally:
            self._release()

    def _give_back(self, place: int, start: int) -> None:
        """Count a call less. One that was counted in a later window, as the clock was set back, stays counted."""
        known, _, count = _WINDOW.unpack_from(self._map, place + _WINDOW_AT)
        if known == start and count:
            _COUNT.pack_into(self._map, place + _COUNT_AT, count - 1)

    def _lock_host(self) -> None:
        problem = self._try_acquire()
        if problem:
            self._lock.acquire(problem)

    def _take_one(self, claim: Claim, now_ms: int) -> tuple[int, list[int]] | None:
        """Do what `_take_all` does for the one claim that most calls have, at two thirds of its cost; else nothing."""
        place = claim.place
        found, start, count = _read_but_end(self._map, place)
        if claim.starts_ms <= now_ms < claim.ends_ms and found == claim.identity and start >= claim.starts_ms:
            left: int = claim.rule.max_requests - count
            if left <= 0:
                return 0, [0]
            _write_count(self._map, place + _COUNT_AT, count + 1)
            return ADMITTED, [left - 1]
        return None

    def _take_simply(self, claims: Sequence[Claim], now_ms: int) -> tuple[int, list[int]] | None:
        """Do what `_take_all` does where all claims have room in known windows, at a third of the cost; or nothing."""
        memory, read, write = self._map, _read_but_end, _write_count
        left = []
        for claim in claims:
            starts = claim.starts_ms
            if not starts <= now_ms < claim.ends_ms:
                return None
            found, start, count = read(memory, claim.place)
            free = claim.rule.max_requests - count
            if found != claim.identity or free <= 0 or start < starts:
                return None
            left.append(free - 1)
        for claim, each in zip(claims, left, strict=True):
            write(memory, claim.place + _COUNT_AT, claim.rule.max_requests - each)
        return ADMITTED, left

    def _take_all(self, claims: Sequence[Claim], now_ms: int) -> tuple[int, list[int]]:
        writes: list[tuple[int, tuple[int, int, int]]] = []
        left = []
        denied = ADMITTED
        crowded_out = None
        for index, claim in enumerate(claims):
            rule = claim.rule
            if self._find(claim, now_ms, [place for place, _ in writes]):
                window = self._window(claim)
                writes.append((claim.place, window))
            else:
                window = (claim.starts_ms, claim.ends_ms, rule.max_requests)
                crowded_out = crowded_out or rule
            left.append(max(0, rule.max_requests - window[2]))
            if not left[-1] and denied == ADMITTED:
                denied = index
        if crowded_out is not None:
            self._note_crowding(crowded_out)
        if denied != ADMITTED:
            return denied, left
        for place, (start, end, count) in writes:
            _WINDOW.pack_into(self._map, place + _WINDOW_AT, start, end, count + 1)
        return ADMITTED, [remaining - 1 for remaining in left]

    def _note_crowding(self, rule: LimitRule) -> None:
        """Count that there was no room for a count of this limit. Called under the lock."""
        if crowding.note(self._map):
            self._crowded_out = rule

    def _tell_crowding(self) -> None:
        """Log what was noted, without the lock: every process of the host would wait for the log."""
        rule = self._crowded_out
        if rule is not None:
            self._crowded_out = None
            log.error("limits.crowded", limit=rule.text, mode=rule.mode.value, rule_id=rule.id)

    def _window(self, claim: Claim) -> tuple[int, int, int]:
        """Return the window of a claim's slot and the count in it; the claim's own where that is a later one.

        A slot of a later window means that the clock was set back: that window goes on, since
        a second one for the same time would admit twice as many.
        """
        known: tuple[int, int, int] = _WINDOW.unpack_from(self._map, claim.place + _WINDOW_AT)
        return known if known[0] >= claim.starts_ms else (claim.starts_ms, claim.ends_ms, 0)

    def _find(self, claim: Claim, now_ms: int, others: Sequence[int] = ()) -> bool:
        """Note in a claim its window and where its slot is, making one where there is room; tell whether there is one.

        `others` are the places of the same call's other claims, which are not taken over: their windows may be
        over and yet about to be written.
        """
        start, end = claim.window_at(now_ms)
        if self._map[claim.place : claim.place + _IDENTITY_BYTES] == claim.identity:
            return True
        place = self._search(claim.identity, start, end, now_ms, others)
        if place is not None:
            claim.place = place
        return place is not None

    def _search(self, identity: bytes, start: int, end: int, now_ms: int, others: Sequence[int]) -> int | None:
        """Look through the places an identity may have: its own, else the first that is free or over.

        A slot that was never used ends the search, since slots are only ever taken over.
        """
        first = int.from_bytes(identity[:8], "little")
        begin, length = self._part_of(identity)
        vacant = None
        for probe in range(min(PROBES, length)):
            place = _FIRST_SLOT + (begin + (first + probe) % length) * _SLOT.size
            found, _, slot_end, _ = _SLOT.unpack_from(self._map, place)
            if found == identity:
                return place
            if vacant is None and slot_end <= now_ms and place not in others:
                vacant = place
            if slot_end == 0:
                break
        if vacant is not None:
            _SLOT.pack_into(self._map, vacant, identity, start, end, 0)
        return vacant

    def _part_of(self, identity: bytes) -> tuple[int, int]:
        """Return the first slot of where a count belongs, and how many slots there are."""
        stretch = identity[-1]
        if not stretch:
            return 0, self._slots
        return self._slots + (stretch - 1) * self._stretch, self._stretch

    def _open(self) -> tuple[mmap.mmap, HostLock]:
        """Map the file and say that it is in use; whoever is the first to use it makes its lock anew."""
        with _opening:  # threads do not exclude each other by a byte of the file
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1, _STARTING)
            try:
                return self._open_alone()
            finally:
                fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _STARTING)

    def _open_alone(self) -> tuple[mmap.mmap, HostLock]:
        is_first = self._is_unused()
        if is_first:
            self._lay_out()
        memory = mmap.mmap(self._descriptor, self._size)
        lock = host_lock(memory, _LOCK_AT, self._descriptor, is_first=is_first)
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)  # for as long as it is open
        return memory, lock

    def _is_unused(self) -> bool:
        with suppress(BlockingIOError):
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        return False

    def _lay_out(self) -> None:
        """Make the file, once; its blocks are reserved, as a full disk would kill whoever touches a hole."""
        header = self._heading()
        if os.pread(self._descriptor, len(header), 0) != header:
            os.ftruncate(self._descriptor, 0)
            os.posix_fallocate(self._descriptor, 0, self._size)
            os.pwrite(self._descriptor, header, 0)

    def _heading(self) -> bytes:
        """Return what the file begins with; one that begins otherwise is made anew."""
        return _HEADER.pack(_MAGIC, _VERSION, self._slots)
