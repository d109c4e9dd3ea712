"""What a gateway counts of its own work: noted in passing on the way of a check, added up once a second elsewhere."""

import threading
import time
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from apiauth.core.decision import Rule

# Upper bounds, in nanoseconds and in checks.
DURATIONS = tuple(int(seconds * 1e9) for seconds in (25e-6, 50e-6, 1e-4, 25e-5, 5e-4, 1e-3, 5e-3, 25e-3, 0.1, 0.25, 1))
BATCHES = (1, 2, 5, 10, 25, 50, 100)
MOST_WAITING = 1_000_000
ALLOWED = ""

Value = TypeVar("Value")


class Spread(msgspec.Struct):
    """How many values lay at or below each bound, how many there were, and their sum."""

    within: list[int]
    count: int = 0
    sum: int = 0

    def add(self, values: list[int], bounds: Sequence[int]) -> None:
        """Take in values."""
        values.sort()
        self.within = [total + bisect_right(values, bound) for total, bound in zip(self.within, bounds, strict=True)]
        self.count += len(values)
        self.sum += sum(values)


class Totals(msgspec.Struct):
    """Everything counted since the process began: decisions by their rule, and durations in nanoseconds."""

    decisions: dict[str, int]
    refusals: dict[str, int]
    durations: Spread
    batches: Spread


class Measures:
    """Takes notes from every thread without a lock, and adds them up when asked.

    A note is an append, which is atomic: an addition from several threads would lose some.
    """

    def __init__(self) -> None:
        self._rules: deque[Rule] = deque(maxlen=MOST_WAITING)
        self._durations: deque[int] = deque(maxlen=MOST_WAITING)
        self._batches: deque[int] = deque(maxlen=MOST_WAITING)
        self._refusals: deque[str] = deque(maxlen=MOST_WAITING)
        self._adding = threading.Lock()
        self._blocked: Counter[Rule] = Counter()
        self._refused: Counter[str] = Counter()
        self._took = Spread([0] * len(DURATIONS))
        self._sizes = Spread([0] * len(BATCHES))

    def decided(self, rule: Rule | None, began_ns: int) -> None:
        """Note a decision that is on record, and when it was begun by the monotonic clock."""
        self._durations.append(time.monotonic_ns() - began_ns)
        if rule is not None:
            self._rules.append(rule)

    def batch(self, size: int) -> None:
        """Note that checks came together."""
        self._batches.append(size)

    def refused(self, code: str) -> None:
        """Note a request that was refused instead of decided."""
        self._refusals.append(code)

    def totals(self) -> Totals:
        """Add up all notes and return the sums."""
        with self._adding:
            self._blocked.update(_taken(self._rules))  # first: their durations are there already
            self._refused.update(_taken(self._refusals))
            self._took.add(_taken(self._durations), DURATIONS)
            self._sizes.add(_taken(self._batches), BATCHES)
            blocked = {rule.value: count for rule, count in self._blocked.items()}
            decisions = {ALLOWED: self._took.count - sum(blocked.values()), **blocked}
            return Totals(decisions, dict(self._refused), self._took, self._sizes)


def _taken(notes: deque[Value]) -> list[Value]:
    return [notes.popleft() for _ in range(len(notes))]
