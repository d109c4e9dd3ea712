"""Two hosts of two processes that share their limits, beside a count of what all of them admitted."""

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from apiauth.core.limits import LimitRule, Unit
from apiauth.verify.lease_store import LeaseStore
from apiauth.verify.leases import LeasedLimiter
from apiauth.verify.limiter import ADMITTED, Claim, identity_of
from bench.limit_load import stated_remainder
from tests.support.database import dsn

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(240)]

NOW_MS = 1_800_000_000_000
LIMITS = [
    LimitRule(id=f"{number} a {unit}", unit=unit, duration=1, max_requests=number)
    for unit, number in ((Unit.SECOND, 1), (Unit.SECOND, 30), (Unit.MINUTE, 100), (Unit.CALENDAR_DAY, 400))
]
PLACES = [(host, process) for host in (0, 1) for process in (0, 1)]


def held_at_most(limit):
    """Return what one host may hold of a window; one thread of each of its processes may wait."""
    return stated_remainder(limit.max_requests, hosts=2, processes_per_host=2, waiting=1)


class HostsThatShare(RuleBasedStateMachine):
    """Admits at most the number in each window; denies one that has room only as far as hosts hold calls of it."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.processes = {place: self.open(*place) for place in PLACES}
        self.admitted = Counter()
        self.lost = Counter()
        self.now_ms = NOW_MS
        self.run = self.folder.name

    def open(self, host, process):
        return LeasedLimiter(self.folder / str(host), LeaseStore(dsn(), wait_seconds=30), slots=1024)

    @rule(
        limits=st.lists(st.sampled_from(LIMITS), unique_by=lambda limit: limit.id, min_size=1, max_size=3),
        place=st.sampled_from(PLACES),
        times=st.sampled_from([1, 10, 60]),
        is_recorded=st.sampled_from([True, True, False]),
    )
    def take(self, limits, place, times, is_recorded):
        claims = [Claim(limit, identity_of(limit, self.run)) for limit in limits]
        windows = [(limit.id, limit.window_at(self.now_ms)[0]) for limit in limits]
        for _ in range(times):
            denied, _ = self.processes[place].take(claims, self.now_ms)
            if denied == ADMITTED and not is_recorded:
                self.processes[place].give_back(claims, self.now_ms)
            elif denied == ADMITTED:
                self.admitted.update(windows)
            free = [limit.max_requests - self.admitted[window] for limit, window in zip(limits, windows, strict=True)]
            assert min(free) >= 0
            if denied != ADMITTED:
                may_be_held = held_at_most(limits[denied]) + self.lost[windows[denied]]
                assert free[denied] <= may_be_held

    @rule(step=st.sampled_from([1, 250, 1_000, 60_000, 86_400_000]))
    def let_time_pass(self, step):
        self.now_ms += step

    @rule(place=st.sampled_from(PLACES))
    def restart(self, place):
        self.processes[place].close()
        self.processes[place] = self.open(*place)

    @rule(host=st.sampled_from([0, 1]))
    def lose_a_host(self, host):
        """Start a host anew on an empty disk: what it held is lost, and may not be leased again."""
        lost = [place for place in PLACES if place[0] == host]
        for place in lost:
            self.processes[place].close()
        shutil.rmtree(self.folder / str(host))
        for limit in LIMITS:
            self.lost[limit.id, limit.window_at(self.now_ms)[0]] += held_at_most(limit)
        self.processes.update({place: self.open(*place) for place in lost})

    def teardown(self):
        for process in self.processes.values():
            process.close()
        shutil.rmtree(self.folder)


def test_no_sequence_of_calls_restarts_and_losses_passes_a_limit_or_strands_more_than_is_held(transactional_db):
    try:
        run_state_machine_as_test(
            HostsThatShare, settings=settings(max_examples=15, stateful_step_count=15, deadline=None)
        )
    finally:
        with psycopg.connect(dsn(), autocommit=True) as connection:
            connection.execute("TRUNCATE apiauth_limitlease")
