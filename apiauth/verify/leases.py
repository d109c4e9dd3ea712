"""Counts requests against what is leased to this host, so that a limit of N holds over several hosts.

The database has the one count of what is leased of a window (`lease_store`). What this host holds
of it lies in a mapped file like that of `limiter`, one for all of its processes: a process that is
killed loses nothing of it, and a restart goes on with it. What is lost all the same, such as an
answer that nobody was left to take, is never leased again: calls can be denied, none is admitted twice.
"""

import struct
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from apiauth.core.limits import LimitRule
from apiauth.verify.lease_store import WAIT_SECONDS, Lease, LeaseStore, Want
from apiauth.verify.limiter import ADMITTED, SLOTS, Claim, Limiter, LimitsState

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
DEGRADED_SECONDS = 1
_LACKING = -2
_HEADING = struct.Struct("<8sI16s")
_MAGIC = b"KSLEASES"
_VERSION = 1
# The slot of `limiter` with its count in two: what this host holds, and what all hosts were leased when last heard.
_SLOT = struct.Struct("<16sQQII")
_WINDOW = struct.Struct("<QQII")
_WINDOW_AT = _SLOT.size - _WINDOW.size
_HELD = struct.Struct("<I")
_HELD_AT = _SLOT.size - 2 * _HELD.size
_AHEAD = 40
"""A lease is asked for ahead when less is held than half of it; it is a twentieth of what is not leased yet."""

_Stock = tuple[int, int, int, int, int]
"""A claim's place, its window's start and end, what this host holds, and what no host was leased yet."""
_STOCK_PLACE, _STOCK_HELD = 0, 3

_Drawn = tuple[int, list[int], list[Want]]
"""ADMITTED, the index of the claim that denies, or _LACKING; what is left of each; and what to ask for."""


class LeasedLimiter(Limiter):
    """The counts of one host among several that share their limits."""

    _file_name = "leases"

    def __init__(self, folder: Path, store: LeaseStore, slots: int = SLOTS) -> None:
        super().__init__(folder, slots)
        self._store = store
        store.start(self._receive)

    def state(self) -> LimitsState:
        return super().state()._replace(mode="shared", degraded_since=self._store.degraded_since)

    def retry_after(self, rule: LimitRule, now_ms: int) -> int:
        """Return a second while nobody can tell whether the limit has room: its window may last a month."""
        return super().retry_after(rule, now_ms) if self._store.degraded_since is None else DEGRADED_SECONDS

    def close(self) -> None:
        """Stop asking and let go of the file; what is held stays in it."""
        self._store.stop()
        super().close()

    def take(self, claims: Sequence[Claim], now_ms: int) -> tuple[int, list[int]]:
        """Count one call against every claim, or against none where one of them is used up.

        What is left is what the store had left when this host last asked it, and what is held. Where a lease
        is lacking this waits for one, twice WAIT_SECONDS at most; a claim that gets none denies.
        """
        denied, left, wants = self._draw(claims, now_ms)
        if not wants:
            return denied, left
        if denied != _LACKING:
            self._store.ask(wants)
            return denied, left
        deadline = time.monotonic() + WAIT_SECONDS
        while self._store.obtain(wants):
            denied, left, wants = self._draw(claims, now_ms)
            if denied != _LACKING:
                return denied, left
            if time.monotonic() > deadline:  # others were quicker each time
                break
        lacking = {want.identity for want in wants}
        denied = next(index for index, claim in enumerate(claims) if claim.identity in lacking)
        left[denied] = 0
        return denied, left

    def _give_back(self, place: int, start: int) -> None:
        """Hold a call more, for this host's next one: a lease goes back to nobody else."""
        known, _, held, leased = _WINDOW.unpack_from(self._map, place + _WINDOW_AT)
        if known == start and held < leased:
            _HELD.pack_into(self._map, place + _HELD_AT, held + 1)

    def _draw(self, claims: Sequence[Claim], now_ms: int) -> _Drawn:
        problem = self._try_acquire()
        if problem:
            self._lock.acquire(problem)
        try:
            drawn = self._draw_simply(claims, now_ms)
            if drawn is not None:
                return drawn
            drawn = self._draw_all(claims, now_ms)
        finally:
            self._release()
        self._tell_crowding()
        return drawn

    def _draw_simply(self, claims: Sequence[Claim], now_ms: int) -> _Drawn | None:
        """Do what `_draw_all` does where enough is held of every claim, at half of its cost; else return None."""
        draws = []
        left = []
        for claim in claims:
            if not claim.starts_ms <= now_ms < claim.ends_ms:
                return None
            found, start, _, held, leased = _SLOT.unpack_from(self._map, claim.place)
            free = claim.rule.max_requests - leased
            if found != claim.identity or held <= free // _AHEAD or held + free <= 0 or start < claim.starts_ms:
                return None
            draws.append((claim.place + _HELD_AT, held - 1))
            left.append(held + free - 1)
        for place, held in draws:
            _HELD.pack_into(self._map, place, held)
        return ADMITTED, left, []

    def _draw_all(self, claims: Sequence[Claim], now_ms: int) -> _Drawn:
        stocks = [self._stock(claim, now_ms) for claim in claims]
        left = [held + free if held + free > 0 else 0 for _, _, _, held, free in stocks]
        if 0 in left:
            crowded_out = [claim for claim, stock in zip(claims, stocks, strict=True) if not stock[_STOCK_PLACE]]
            if crowded_out:
                self._note_crowding(crowded_out[0].rule)
            return left.index(0), left, []
        lacking = [_want(claim, stock) for claim, stock in zip(claims, stocks, strict=True) if not stock[_STOCK_HELD]]
        if lacking:
            return _LACKING, left, lacking
        ahead = []
        for claim, stock in zip(claims, stocks, strict=True):
            place, _, _, held, free = stock
            _HELD.pack_into(self._map, place + _HELD_AT, held - 1)
            if held <= free // _AHEAD:
                ahead.append(_want(claim, stock))
        return ADMITTED, [remaining - 1 for remaining in left], ahead

    def _stock(self, claim: Claim, now_ms: int) -> _Stock:
        """Return how a claim stands; where there is no room for it nothing is held, and nothing free."""
        if not self._find(claim, now_ms):
            return 0, claim.starts_ms, claim.ends_ms, 0, 0
        start, end, held, leased = self._held(claim.place, claim.starts_ms, claim.ends_ms)
        return claim.place, start, end, held, claim.rule.max_requests - leased

    def _held(self, place: int, start: int, end: int) -> tuple[int, int, int, int]:
        """Return a slot's window, what is held and what is leased of it; a later window goes on, as in `limiter`."""
        known: tuple[int, int, int, int] = _WINDOW.unpack_from(self._map, place + _WINDOW_AT)
        return known if known[0] >= start else (start, end, 0, 0)

    def _receive(self, lease: Lease) -> None:
        """Put a lease with what is held; one of a window that is over is lost, as is one that has no place."""
        identity, start, end, _ = lease.want
        self._lock_host()
        try:
            place = self._search(identity, start, end, start, ())
            if place is None:
                return
            start, end, held, leased = self._held(place, start, end)
            if start == lease.want.starts_ms:
                window = start, end, held + lease.calls, max(leased, lease.leased)
                _WINDOW.pack_into(self._map, place + _WINDOW_AT, *window)
        finally:
            self._release()

    def _heading(self) -> bytes:
        """Add the machine's start to what the file begins with.

        A machine that stops loses the end of what was counted, so what is held is forgotten
        with it. Where its starts cannot be told apart, each first use counts as one.
        """
        boot = uuid.uuid4().bytes
        with suppress(OSError, ValueError):
            boot = uuid.UUID(BOOT_ID.read_text().strip()).bytes
        return _HEADING.pack(_MAGIC, _VERSION, boot)


def _want(claim: Claim, stock: _Stock) -> Want:
    _, start, end, _, _ = stock
    return Want(claim.identity, start, end, claim.rule.max_requests)
