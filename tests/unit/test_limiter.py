"""Counts are exact over threads and processes, outlive both, and never admit too many."""

import itertools
import multiprocessing
import os
import signal
import threading
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from structlog.testing import capture_logs

from apiauth.core.limits import LimitRule, Unit
from apiauth.verify.limiter import ADMITTED, STRETCHES, Claim, Limiter, identity_by_address, identity_of

NOW_MS = 1_800_000_000_000
MINUTE = LimitRule(id="minute", unit=Unit.MINUTE, duration=1, max_requests=3)
SECOND = LimitRule(id="second", unit=Unit.SECOND, duration=1, max_requests=2)
MONTH = LimitRule(id="month", unit=Unit.CALENDAR_MONTH, duration=1, max_requests=5)


@pytest.fixture
def limiter(tmp_path):
    limiter = Limiter(tmp_path, slots=1024)
    yield limiter
    limiter.close()


def claim(rule, *subject):
    return Claim(rule, identity_of(rule, *subject))


def test_a_window_admits_its_number_and_the_next_one_starts_again(limiter):
    claims = [claim(MINUTE, "app", 1)]
    assert [limiter.take(claims, NOW_MS)[0] for _ in range(4)] == [ADMITTED, ADMITTED, ADMITTED, 0]
    assert limiter.take(claims, NOW_MS + 60_000) == (ADMITTED, [2])


def test_a_denied_call_consumes_nothing(limiter):
    both = [claim(MINUTE, "app", 1), claim(SECOND, "app", 1)]
    limiter.take(both, NOW_MS)
    limiter.take(both, NOW_MS)
    assert limiter.take(both, NOW_MS) == (1, [1, 0])
    assert limiter.take(both, NOW_MS + 1000) == (ADMITTED, [0, 1])


def test_what_is_given_back_can_be_taken_again_and_no_more(limiter):
    both = [claim(MINUTE, "app", 1), claim(MONTH, "app", 1)]
    for _ in range(3):
        assert limiter.take(both, NOW_MS)[0] == ADMITTED
        limiter.give_back(both, NOW_MS)
    assert [limiter.take(both, NOW_MS)[0] for _ in range(4)] == [ADMITTED, ADMITTED, ADMITTED, 0]
    limiter.give_back(both, NOW_MS)
    assert limiter.take(both, NOW_MS) == (ADMITTED, [0, 2])


def test_what_is_given_back_after_its_window_makes_no_room_in_the_next(limiter):
    both = [claim(MINUTE, "app", 1), claim(MONTH, "app", 1)]
    limiter.take(both, NOW_MS)
    limiter.take(both, NOW_MS + 60_000)
    limiter.give_back(both, NOW_MS)
    assert limiter.take(both, NOW_MS + 60_000) == (ADMITTED, [1, 3])


def test_nothing_is_given_back_of_what_was_never_taken(limiter):
    claims = [claim(MINUTE, "app", 1)]
    limiter.give_back(claims, NOW_MS)
    assert [limiter.take(claims, NOW_MS)[0] for _ in range(4)] == [ADMITTED, ADMITTED, ADMITTED, 0]


def test_two_rules_with_the_same_window_do_not_share_a_count(limiter):
    other = LimitRule(id="other", unit=Unit.MINUTE, duration=1, max_requests=3)
    limiter.take([claim(MINUTE, "app", 1)], NOW_MS)
    assert limiter.take([claim(other, "app", 1)], NOW_MS) == (ADMITTED, [2])


def test_two_limits_of_a_call_never_share_a_place_though_the_window_of_one_is_over(limiter):
    subjects = {}
    for number in itertools.count():
        place = int.from_bytes(identity_of(MINUTE, number)[:8], "little") % 1024
        if place in subjects:
            break
        subjects[place] = number
    first, second = claim(MINUTE, subjects[place]), claim(MINUTE, number)
    limiter.take([first], NOW_MS)
    assert limiter.take([first, second], NOW_MS + 60_000) == (ADMITTED, [2, 2])
    assert limiter.take([first, second], NOW_MS + 60_000) == (ADMITTED, [1, 1])


def test_a_claim_whose_place_another_one_has_taken_over_is_counted_elsewhere(tmp_path):
    limiter = Limiter(tmp_path, slots=1)
    early, late = claim(MINUTE, "key", 1), claim(MINUTE, "key", 2)
    assert limiter.take([early], NOW_MS) == (ADMITTED, [2])
    assert limiter.take([late], NOW_MS + 60_000) == (ADMITTED, [2])
    assert limiter.take([early], NOW_MS + 60_000) == (0, [0]), "there is no other place"
    assert limiter.take([late], NOW_MS + 60_000) == (ADMITTED, [1])
    assert limiter.take([early], NOW_MS + 120_000) == (ADMITTED, [2])
    limiter.close()


def test_a_restart_goes_on_in_the_same_window(tmp_path):
    claims = [claim(MINUTE, "app", 1)]
    for left in (2, 1, 0):
        limiter = Limiter(tmp_path, slots=1024)
        assert limiter.take(claims, NOW_MS) == (ADMITTED, [left])
        limiter.close()
    limiter = Limiter(tmp_path, slots=1024)
    assert limiter.take(claims, NOW_MS)[0] == 0
    limiter.close()


def test_a_clock_set_back_opens_no_second_window(limiter):
    claims = [claim(MINUTE, "app", 1)]
    for _ in range(3):
        limiter.take(claims, NOW_MS)
    assert limiter.take(claims, NOW_MS - 60_000)[0] == 0


def test_a_clock_set_back_and_forth_does_not_open_the_later_window_anew(limiter):
    claims = [claim(MINUTE, "app", 1)]
    limiter.take(claims, NOW_MS)
    assert limiter.take(claims, NOW_MS - 60_000) == (ADMITTED, [1])
    assert limiter.take(claims, NOW_MS) == (ADMITTED, [0])
    assert limiter.take(claims, NOW_MS)[0] == 0


def test_a_process_that_was_killed_in_the_middle_holds_up_nobody(tmp_path):
    claims = [claim(MINUTE, "app", 1)]
    context = multiprocessing.get_context("spawn")
    limiter = Limiter(tmp_path, slots=1024)
    process = context.Process(target=_die_while_counting, args=(tmp_path,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert limiter.take(claims, NOW_MS) == (ADMITTED, [2])
    limiter.close()


def _die_while_counting(folder):
    limiter = Limiter(folder, slots=1024)
    limiter._take_all = lambda claims, now_ms: os.kill(os.getpid(), signal.SIGKILL)
    limiter.take([claim(MINUTE, "app", 1)], NOW_MS)


def test_a_file_that_a_crashed_machine_left_locked_is_opened_and_its_counts_go_on(tmp_path):
    claims = [claim(MINUTE, "app", 1)]
    limiter = Limiter(tmp_path, slots=1024)
    limiter.take(claims, NOW_MS)
    limiter.close()
    (path,) = tmp_path.glob("limits-*")
    with path.open("r+b") as file:
        file.seek(64)
        file.write((12345).to_bytes(4, "little"))  # held by a thread that is not there
    limiter = Limiter(tmp_path, slots=1024)
    assert limiter.take(claims, NOW_MS) == (ADMITTED, [1])
    limiter.close()


@pytest.fixture
def small(tmp_path):
    """A limiter with room for 64 counts of apps and keys, and for ROOM by address in each stretch."""
    limiter = Limiter(tmp_path, slots=64)
    yield limiter
    limiter.close()


ROOM = 64 // STRETCHES


def by_address(deployment_id, number):
    return Claim(MINUTE, identity_by_address(MINUTE, deployment_id, "ip", number))


def flood(limiter, deployment_id=1, calls=100):
    """Call from as many addresses; return how many calls were admitted."""
    return sum(limiter.take([by_address(deployment_id, n)], NOW_MS)[0] == ADMITTED for n in range(calls))


def test_where_there_is_no_room_a_call_is_denied_and_none_is_admitted_twice(small):
    admitted = [small.take([claim(MINUTE, "app", number)], NOW_MS)[0] == ADMITTED for number in range(100)]
    assert sum(admitted) == 64
    assert small.take([claim(MINUTE, "app", 1)], NOW_MS)[0] == ADMITTED
    assert small.take([claim(MINUTE, "app", 99)], NOW_MS + 60_000)[0] == ADMITTED


def test_addresses_without_number_take_no_room_from_apps_and_keys(small):
    assert flood(small) == ROOM
    assert all(small.take([claim(MINUTE, "app", number)], NOW_MS)[0] == ADMITTED for number in range(64))
    assert [small.take([by_address(1, 0)], NOW_MS)[0] for _ in range(3)] == [ADMITTED, ADMITTED, 0], "as before"


def test_a_deployments_addresses_crowd_at_most_one_stretch(limiter):
    assert flood(limiter, calls=5_000) == 1024 // STRETCHES
    admitted = [flood(limiter, deployment_id, calls=1) for deployment_id in range(2, 402)]
    assert 0.6 < sum(admitted) / 400 < 0.9, "each of the others is denied where it shares the stretch, and only there"


def test_a_call_that_finds_no_room_for_one_of_its_limits_is_charged_to_none(small):
    flood(small)
    both = [claim(MINUTE, "app", 1), by_address(1, 99)]
    assert small.take(both, NOW_MS) == (1, [3, 0])
    assert small.take(both[:1], NOW_MS) == (ADMITTED, [2])


def test_every_process_tells_since_when_there_is_no_room_until_an_hour_passed_without_a_denial(small, tmp_path):
    other = Limiter(tmp_path, slots=64)
    began = datetime(2031, 4, 5, 6, 7, 8, tzinfo=UTC)
    with time_machine.travel(began, tick=False) as clock:
        assert (other.state().crowded_since, other.state().crowded_denials) == (None, 0)
        flood(small, calls=ROOM + 3)
        clock.shift(timedelta(minutes=50))
        flood(small, calls=ROOM + 1)
        assert (other.state().crowded_since, other.state().crowded_denials) == (began, 4)
        clock.shift(timedelta(minutes=61))
        assert (other.state().crowded_since, other.state().crowded_denials) == (None, 4)
        flood(other, calls=ROOM + 1)
        assert small.state().crowded_since == began + timedelta(minutes=111)
    other.close()


def test_want_of_room_is_logged_once_a_minute_with_the_limit_that_found_none(small, tmp_path):
    other = Limiter(tmp_path, slots=64)
    with time_machine.travel(datetime(2031, 4, 5, tzinfo=UTC), tick=False) as clock, capture_logs() as lines:
        flood(small)
        flood(other)
        clock.shift(timedelta(minutes=1))
        flood(other)
    line = {"event": "limits.crowded", "log_level": "error", "limit": "3/60s", "mode": "per_app", "rule_id": "minute"}
    assert lines == [line] * 2
    other.close()


def _take_many(folder, times, results):
    limiter = Limiter(folder, slots=1024)
    many = LimitRule(id="many", unit=Unit.DAY, duration=1, max_requests=1000)
    threads = []
    counts = []

    def work():
        counts.append(sum(limiter.take([claim(many, "app", 1)], NOW_MS)[0] == ADMITTED for _ in range(times)))

    for _ in range(3):
        threads.append(threading.Thread(target=work))
        threads[-1].start()
    for thread in threads:
        thread.join()
    results.put(sum(counts))


def test_four_processes_of_three_threads_admit_exactly_the_number(tmp_path):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_take_many, args=(tmp_path, 200, results)) for _ in range(4)]
    for process in processes:
        process.start()
    admitted = sum(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert admitted == 1000
