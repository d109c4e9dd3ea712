"""Four gateways count one limit, are killed and started again: each window admits its number, no more and no fewer.

Over hosts that share their limits, fewer by no more than the others may hold. The windows are judged by
the callers' own log, and that log is compared with what is recorded. The long form, with more load and
whole minutes, is `python -m bench.limits`.
"""

import json
import threading

import pytest

from apiauth.core import clock
from apiauth.models import GatewayStatus
from apiauth.services import apps, limits
from bench.limit_load import Load, stated_remainder
from tests.conftest import ACTOR
from tests.support.database import dsn
from tests.support.gateways import question
from tests.support.oracle import judge
from tests.support.processes import GATEWAY, Process, environment_in, free_port, ready

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes, pytest.mark.timeout(180)]

# A machine that does much else must not make a lease late: what is lost so is for another test.
PATIENT_GATEWAY = "from apiauth.verify import lease_store\nlease_store.WAIT_SECONDS = 30\n" + GATEWAY
SECOND, MINUTE = 60, 200
LOADS = (0.9, 1, 10)
WINDOWS = 3


@pytest.fixture
def gateways(tmp_path, transactional_db):
    """Four gateway processes on so many hosts, each host a folder of its own."""
    started = []

    def start(hosts):
        for number in range(4):
            port = free_port()
            environment = environment_in(tmp_path / f"host-{number % hosts}")
            environment["KEYSTEAD_LIMITS"] = "shared" if hosts > 1 else "host"
            started.append((port, Process(PATIENT_GATEWAY, port, environment=environment)))
        for port, _ in started:
            ready(port)
        return started

    yield start
    for _, process in started:
        process.kill()


def limited(app, make_key, unit, number):
    """Give an app a limit, and return the body of a check with a key of it."""
    owner = {"deployment_id": app.deployment_id, "actor": ACTOR, "now": clock.now()}
    rule = {"unit": unit, "duration": 1, "max_requests": number}
    limits.create_scheme(slug=unit, name=unit, rules=[rule], **owner)
    apps.update_app(slug=app.slug, changes={"rate_limit_scheme_slug": unit}, **owner)
    return json.dumps(question(make_key(in_app=app).secret.text)).encode()


def let_windows_pass(count):
    """Wait for so many windows of a second: they are what is tested."""
    threading.Event().wait(count)


def storm(gateways, seconds, minutes):
    """Put each load on both limits, the minute's at ten times throughout, and kill a gateway under each."""
    minutes.pace(10 * MINUTE / 60)
    for turn, factor in enumerate(LOADS):
        seconds.pace(factor * SECOND)
        let_windows_pass(WINDOWS)
        port, process = gateways[turn]
        process.kill()
        process.start()
        ready(port)
    let_windows_pass(1)
    for load in (seconds, minutes):
        load.end()


@pytest.mark.parametrize("hosts", [1, 2], ids=["one host", "two hosts"])
def test_each_window_admits_its_number_through_kills_at_every_load(app, make_app, make_key, gateways, hosts, tmp_path):
    bodies = [
        limited(app, make_key, "second", SECOND),
        limited(make_app("aa_2"), make_key, "minute", MINUTE),
    ]
    started = gateways(hosts)
    told = GatewayStatus.objects.order_by("-started_at")[:4].values_list("limits", flat=True)
    assert set(told) == {"host" if hosts == 1 else "shared"}
    seconds, minutes = loads = [Load([port for port, _ in started], body) for body in bodies]
    storm(started, *loads)

    for load, limit, length_ms in ((seconds, SECOND, 1000), (minutes, MINUTE, 60_000)):
        windows = load.judged(limit, length_ms)
        held = stated_remainder(limit, hosts, 2) if hosts > 1 else 0
        assert [window for window in windows if window.over] == []
        assert [window for window in windows if window.under > held] == []
    assert sum(window.has_overlap for window in seconds.judged(SECOND, 1000)) >= WINDOWS, "they did count together"
    assert any(window.has_overlap for window in minutes.judged(MINUTE, 60_000)), "those of the minute too"
    assert any(window.admitted == SECOND < window.demand for window in seconds.judged(SECOND, 1000))
    assert sum(window.admitted for window in minutes.judged(MINUTE, 60_000)) >= MINUTE - held

    for _, process in started:
        process.kill()
    answers = [(answer.request_id, answer.allowed) for load in loads for answer in load.answers]
    verdict = judge(answers, *tmp_path.glob("host-*/spool"), address=dsn())
    verdict.require_whole(but_invented=True)
    cut_off = sum(len(load.unanswered) for load in loads)
    assert len(verdict.invented) <= cut_off, "at most what a kill cut off"
