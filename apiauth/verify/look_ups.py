"""Keys that checks wait for because they are not in memory: asked for together, and each once at a time."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from apiauth.verify.entries import Key

LOOK_UP_SECONDS = 0.2
FETCHES_PER_SECOND = 500


class Heard(Enum):
    """When the database was heard about keys that are asked for."""

    NOW = auto()
    AT_LAST_POLL = auto()
    NOT_AT_ALL = auto()


class LookedUp(NamedTuple):
    """What a look-up came to: keys by digest, and how far the database was heard about those that are not there."""

    heard: Heard
    keys: Mapping[bytes, "Key"]


class Flight:
    """Digests that one query asks for, and what it found once `ended`; None where it failed."""

    def __init__(self) -> None:
        self.digests: set[bytes] = set()
        self.found: dict[bytes, Key] | None = None
        self.ended = threading.Event()
        self.began = time.monotonic()


class LookUps:
    """Brings checks that wait together with the one thread that asks.

    While a query is under way the next one gathers; whoever asks for what is under way waits
    for that. Where the thread does not come for a flight in time, the database is slow or
    away: nobody waits any more then, so that checks of known keys find free threads.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._gathering: Flight | None = None
        self._under_way: Flight | None = None
        self._fetched_at = float("-inf")

    def ask(self, digests: Iterable[bytes]) -> LookedUp:
        """Return keys by digest, after at most LOOK_UP_SECONDS; who joins a query under way hears what it hears."""
        flights, has_joined = self._board(digests)
        deadline = time.monotonic() + LOOK_UP_SECONDS
        found: dict[bytes, Key] = {}
        for flight in flights:
            if not flight.ended.wait(max(0, deadline - time.monotonic())) or flight.found is None:
                return LookedUp(Heard.NOT_AT_ALL, found)
            found.update(flight.found)
        if not flights:
            return LookedUp(Heard.NOT_AT_ALL, found)
        return LookedUp(Heard.AT_LAST_POLL if has_joined else Heard.NOW, found)

    def take(self) -> Flight | None:
        """Return what is to be asked for now, if anything; called by the thread that asks, which then ends it."""
        if self._gathering is None:
            return None
        rest = self._fetched_at + 1 / FETCHES_PER_SECOND - time.monotonic()
        if rest > 0:
            time.sleep(rest)  # others join meanwhile: that bounds the queries, and not the checks
        with self._lock:
            self._under_way, self._gathering = self._gathering, None
            self._fetched_at = time.monotonic()
            return self._under_way

    def end(self, flight: Flight | None) -> None:
        """Let those go on who wait for a flight, with what it found: nothing where its query failed."""
        if flight is not None:
            with self._lock:
                self._under_way = None
            flight.ended.set()

    def _board(self, digests: Iterable[bytes]) -> tuple[list[Flight], bool]:
        """Return the flights that bring these digests, none where one is overdue, and whether one was under way."""
        with self._lock:
            overdue = time.monotonic() - LOOK_UP_SECONDS
            if any(flight is not None and flight.began < overdue for flight in (self._under_way, self._gathering)):
                return [], False
            wanted = set(digests)
            under_way = self._under_way
            has_joined = under_way is not None and not wanted.isdisjoint(under_way.digests)
            flights = [under_way] if under_way is not None and has_joined else []
            if under_way is not None:
                wanted -= under_way.digests
            if wanted:
                self._gathering = self._gathering or Flight()
                self._gathering.digests |= wanted
                flights.append(self._gathering)
        self._wake()
        return flights, has_joined
