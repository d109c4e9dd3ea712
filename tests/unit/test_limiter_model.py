"""The limiter beside a model that counts in the plainest way: random limits, callers, processes, restarts, clocks."""

import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from apiauth.core.limits import LONGEST, LimitRule, Unit
from apiauth.verify.limiter import ADMITTED, Claim, Limiter, identity_of

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
LIMITS = [
    LimitRule(id=f"{unit} {duration}", unit=unit, duration=duration, max_requests=2 + index % 3)
    for index, unit in enumerate(Unit)
    for duration in sorted({1, LONGEST[unit]})
]
STEPS_MS = [1, 999, 1_000, 60_000, 3_600_000, DAY_MS, 31 * DAY_MS]


class Model:
    """A count for each limit and caller: that of its newest window, however the clock is set."""

    def __init__(self):
        self._windows = {}

    def take(self, claims, now_ms):
        """Return what the limiter has to: ADMITTED or the first claim that denies, and what is left of each."""
        counts = [self._count(limit, caller, now_ms) for limit, caller in claims]
        left = [limit.max_requests - count for (limit, _), count in zip(claims, counts, strict=True)]
        if 0 in left:
            return left.index(0), left
        for limit, caller in claims:
            start, known = limit.window_at(now_ms)[0], self._windows[limit.id, caller]
            known[:] = [max(start, known[0]), self._count(limit, caller, now_ms) + 1]
        return ADMITTED, [each - 1 for each in left]

    def give_back(self, claims, now_ms):
        """Count a call less in each window that `now_ms` lies in and nobody has left."""
        for limit, caller in claims:
            known = self._windows[limit.id, caller]
            if known[0] == limit.window_at(now_ms)[0] and known[1]:
                known[1] -= 1

    def _count(self, limit, caller, now_ms):
        start = limit.window_at(now_ms)[0]
        known = self._windows.setdefault((limit.id, caller), [start, 0])
        return known[1] if known[0] >= start else 0  # a call that is denied begins no window


class LimiterBesideModel(RuleBasedStateMachine):
    """Several processes' limiters over one file, each opened and closed as it comes."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.processes = [self.open(), self.open()]
        self.model = Model()
        self.now_ms = NOW_MS
        self.admitted = []

    def open(self):
        return Limiter(Path(self.folder.name), slots=1024)

    @rule(
        limits=st.lists(st.sampled_from(LIMITS), unique_by=lambda limit: limit.id, min_size=1, max_size=4),
        caller=st.integers(1, 2),
        process=st.integers(0, 1),
        times=st.integers(1, 4),
    )
    def take(self, limits, caller, process, times):
        claims = [Claim(limit, identity_of(limit, caller)) for limit in limits]
        for _ in range(times):
            asked = [(limit, caller) for limit in limits]
            expected = self.model.take(asked, self.now_ms)
            assert self.processes[process].take(claims, self.now_ms) == expected
            if expected[0] == ADMITTED:
                self.admitted.append((asked, claims, self.now_ms))

    @rule(process=st.integers(0, 1))
    def give_the_latest_back(self, process):
        if self.admitted:
            asked, claims, taken_ms = self.admitted.pop()
            self.model.give_back(asked, taken_ms)
            self.processes[process].give_back(claims, taken_ms)

    @rule(step=st.sampled_from(STEPS_MS))
    def let_time_pass(self, step):
        self.now_ms += step

    @rule(step=st.sampled_from(STEPS_MS))
    def set_the_clock_back(self, step):
        self.now_ms -= step

    @rule(process=st.integers(0, 1))
    def restart(self, process):
        self.processes[process].close()
        self.processes[process] = self.open()

    def teardown(self):
        for process in self.processes:
            process.close()
        self.folder.cleanup()


TestLimiterBesideModel = LimiterBesideModel.TestCase
TestLimiterBesideModel.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
