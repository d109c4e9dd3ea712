"""Hosts that share their limits admit N together: never more, and fewer only by what one holds and does not use."""

import struct
import threading
import time

import psycopg
import pytest

from apiauth.core.limits import LimitRule, Unit
from apiauth.verify import lease_store
from apiauth.verify.lease_store import LeaseStore, Want
from apiauth.verify.leases import BOOT_ID, LeasedLimiter
from apiauth.verify.limiter import ADMITTED, STRETCHES, Claim, identity_by_address, identity_of
from tests.support.database import dsn
from tests.support.proxy import FreezingProxy
from tests.support.running import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(60)]

NOW_MS = 1_800_000_000_000
MINUTE = LimitRule(id="minute", unit=Unit.MINUTE, duration=1, max_requests=100)
FEW = LimitRule(id="few", unit=Unit.SECOND, duration=1, max_requests=3)
ONE = LimitRule(id="one", unit=Unit.MINUTE, duration=1, max_requests=1)


@pytest.fixture(autouse=True)
def empty_leases(transactional_db):
    yield
    with psycopg.connect(dsn(), autocommit=True) as connection:
        connection.execute("TRUNCATE apiauth_limitlease")


class Hosts:
    """Opens processes of hosts by the host's name, and closes them."""

    def __init__(self, folder):
        self._folder, self._opened = folder, []

    def __call__(self, name="a", *, database=None, wait_seconds=20.0):
        store = LeaseStore(database or dsn(), wait_seconds)
        self._opened.append(LeasedLimiter(self._folder / name, store, slots=256))
        return self._opened[-1]

    def stop(self):
        while self._opened:
            self._opened.pop().close()


@pytest.fixture
def host(tmp_path):
    hosts = Hosts(tmp_path)
    yield hosts
    hosts.stop()


@pytest.fixture
def proxy(transactional_db):
    proxy = FreezingProxy(dsn())
    yield proxy
    proxy.close()


def claim(rule, *subject):
    return Claim(rule, identity_of(rule, *subject))


def admitted(limiter, claims, times, now_ms=NOW_MS):
    return sum(limiter.take(claims, now_ms)[0] == ADMITTED for _ in range(times))


def leased():
    with psycopg.connect(dsn(), autocommit=True) as connection:
        return connection.execute("SELECT coalesce(sum(leased), 0)::int FROM apiauth_limitlease").fetchone()[0]


def test_two_hosts_that_both_have_calls_admit_exactly_the_number(host):
    first, second = host("a"), host("b")
    claims = [claim(MINUTE, "app", 1)]
    counts = [0, 0]
    for turn in range(400):
        counts[turn % 2] += (first, second)[turn % 2].take(claims, NOW_MS)[0] == ADMITTED
    assert sum(counts) == 100
    assert min(counts) > 0


def test_what_is_given_back_is_held_for_the_next_call_and_never_more_than_was_leased(host):
    limiter, other = host("a"), host("b")
    claims = [claim(FEW, "app", 1)]
    for _ in range(9):
        assert admitted(limiter, claims, 1) == 1
        limiter.give_back(claims, NOW_MS)
    assert admitted(other, claims, 9) + admitted(limiter, claims, 9) == 3, "however many each has leased"
    limiter.give_back(claims, NOW_MS)
    limiter.give_back(claims, NOW_MS + 1000)
    assert (admitted(other, claims, 9), admitted(limiter, claims, 9), leased()) == (0, 1, 3)


def test_addresses_without_number_are_denied_as_told_and_take_no_room_from_apps(host):
    limiter = host()
    flood = [Claim(MINUTE, identity_by_address(MINUTE, 1, number)) for number in range(100)]
    assert sum(limiter.take([each], NOW_MS)[0] == ADMITTED for each in flood) == 256 // STRETCHES
    assert limiter.state().crowded_since is not None
    assert limiter.state().crowded_denials == 100 - 256 // STRETCHES
    assert admitted(limiter, [claim(MINUTE, "app", 1)], 150) == 100


def test_each_window_is_leased_anew(host):
    limiter = host()
    claims = [claim(MINUTE, "app", 1)]
    assert [admitted(limiter, claims, 150, NOW_MS + step * 60_000) for step in range(3)] == [100, 100, 100]


def test_a_host_alone_gets_all_of_a_limit_and_is_told_what_is_left(host):
    limiter = host()
    claims = [claim(MINUTE, "app", 1)]
    assert [limiter.take(claims, NOW_MS)[1] for _ in range(101)] == [[left] for left in [*range(99, -1, -1), 0]]


def test_what_one_host_holds_and_does_not_use_is_all_that_others_are_denied(host):
    idle, busy = host("a"), host("b")
    claims = [claim(MINUTE, "app", 1)]
    assert admitted(idle, claims, 1) == 1
    assert 100 - admitted(busy, claims, 200) <= 5 + 5 // 2 + 1, "a lease of a twentieth and one ahead of it"


def test_a_limit_smaller_than_the_number_of_hosts_goes_to_those_that_ask_first(host):
    hosts = [host(name) for name in "abcd"]
    claims = [claim(FEW, "app", 1)]
    assert sum(admitted(each, claims, 3) for each in hosts) == 3
    assert sum(admitted(each, [claim(ONE, "app", 1)], 2) for each in hosts) == 1


def test_a_call_that_another_limit_denies_takes_nothing_from_any(host):
    limiter = host()
    both = [claim(MINUTE, "app", 1), claim(FEW, "app", 1)]
    assert admitted(limiter, both, 10) == 3
    assert limiter.take(both, NOW_MS) == (1, [97, 0])
    assert admitted(limiter, [claim(MINUTE, "app", 1)], 200) == 97


def test_a_restart_goes_on_with_what_is_held_and_with_what_is_used_up(host):
    claims = [claim(MINUTE, "app", 1)]
    used = 0
    for _ in range(30):
        limiter = host()
        used += admitted(limiter, claims, 4)
        host.stop()
    assert used == 100


def test_a_host_whose_file_is_gone_is_denied_what_it_held_and_admits_none_twice(host, tmp_path):
    claims = [claim(MINUTE, "app", 1)]
    limiter = host()
    used = admitted(limiter, claims, 1)
    host.stop()
    for path in (tmp_path / "a").iterdir():
        path.unlink()
    used += admitted(host(), claims, 200)
    assert 100 - 8 <= used < 100


@pytest.mark.skipif(not BOOT_ID.exists(), reason="this system does not tell its starts apart")
def test_a_machine_that_was_started_again_forgets_what_it_held(host, tmp_path):
    claims = [claim(MINUTE, "app", 1)]
    limiter = host()
    used = admitted(limiter, claims, 1)
    host.stop()
    (path,) = (tmp_path / "a").glob("leases-*")
    with path.open("r+b") as file:
        file.seek(struct.calcsize("<8sI"))
        file.write(bytes(16))  # the start before this one
    used += admitted(host(), claims, 200)
    assert used < 100


def test_a_limit_that_is_lowered_holds_at_once_for_what_is_held_already(host):
    limiter = host()
    assert admitted(limiter, [claim(MINUTE, "app", 1)], 48) == 48
    lowered = LimitRule(id="minute", unit=Unit.MINUTE, duration=1, max_requests=48)
    assert limiter.take([claim(lowered, "app", 1)], NOW_MS) == (0, [0])


def test_a_limit_that_is_raised_goes_on_from_what_is_used(host):
    limiter = host()
    assert admitted(limiter, [claim(MINUTE, "app", 1)], 200) == 100
    raised = LimitRule(id="minute", unit=Unit.MINUTE, duration=1, max_requests=150)
    assert admitted(limiter, [claim(raised, "app", 1)], 200) == 50


def test_threads_of_two_processes_on_two_hosts_admit_exactly_the_number(host):
    limiters = [host(name) for name in "aabb"]
    claims = [claim(MINUTE, "app", 1)]
    counts = []
    threads = [
        threading.Thread(target=lambda each=each: counts.append(admitted(each, claims, 50)))
        for each in limiters
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 100


def test_without_the_database_a_host_lives_on_what_it_holds_then_denies_and_says_so(host, proxy):
    limiter = host(database=proxy.address)
    claims = [claim(MINUTE, "app", 1)]
    assert limiter.take(claims, NOW_MS) == (ADMITTED, [99])
    held = leased() - 1
    proxy.close()
    assert admitted(limiter, claims, 30) == held
    assert limiter.take(claims, NOW_MS) == (0, [0])
    assert limiter.state().degraded_since is not None


def test_a_database_that_falls_silent_is_waited_for_once_and_leases_go_on_once_it_speaks(host, proxy):
    limiter = host(database=proxy.address, wait_seconds=0.25)
    until(lambda: limiter.take([claim(MINUTE, "app", 1)], NOW_MS)[0] == ADMITTED, 20, "a first lease")
    until(lambda: limiter.state().degraded_since is None, 20, "leases in time")
    proxy.freeze()
    began = time.monotonic()
    assert admitted(limiter, [claim(FEW, "app", 1)], 1000) == 0
    assert limiter.state().degraded_since is not None
    assert time.monotonic() - began < 20, "a thousand calls that wait would take 250 seconds"
    until(lambda: limiter.state().degraded_since is None, 20, "the silent connection is cut, another one let through")
    until(lambda: limiter.take([claim(FEW, "app", 1)], NOW_MS)[0] == ADMITTED, 20, "a lease")


def test_no_more_is_asked_for_at_once_than_the_bound(monkeypatch):
    monkeypatch.setattr(lease_store, "MOST_ASKED", 2)
    wants = [Want(bytes([number] * 16), NOW_MS, NOW_MS + 60_000, 100) for number in range(5)]
    delivered = []
    store = LeaseStore(dsn())
    store.ask(wants)
    store.start(delivered.append)
    until(lambda: len(delivered) == 2, 10, "what was taken is leased")
    store.ask(wants[2:4])
    until(lambda: len(delivered) == 4, 10, "then there is room for more")
    store.stop()
    assert [lease.want for lease in delivered] == wants[:4]
