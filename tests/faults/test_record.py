"""Gateways and workers are killed under load: no answered decision is lost, none is doubled, no limit is passed."""

import random

import pytest

from apiauth.core import clock
from apiauth.services import apps, limits
from tests.conftest import ACTOR
from tests.support.database import dsn
from tests.support.oracle import calling, judge
from tests.support.processes import GATEWAY, WORKER, Process, environment_in, free_port, ready

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes, pytest.mark.timeout(180)]


@pytest.fixture
def environment(tmp_path, transactional_db):
    return environment_in(tmp_path)


@pytest.fixture
def processes():
    started = []
    yield started
    for each in started:
        each.kill()


def limited_to(number, app):
    rule = {"unit": "calendar_month", "duration": 1, "max_requests": number}
    limits.create_scheme(
        deployment_id=app.deployment_id, slug="s", name="S", rules=[rule], actor=ACTOR, now=clock.now()
    )
    changes = {"rate_limit_scheme_slug": "s"}
    apps.update_app(deployment_id=app.deployment_id, slug=app.slug, changes=changes, actor=ACTOR, now=clock.now())


def test_four_gateways_admit_exactly_the_number_and_record_every_answer(
    app, make_key, environment, processes, tmp_path
):
    limited_to(700, app)
    ports = [free_port() for _ in range(4)]
    processes += [Process(GATEWAY, port, environment=environment) for port in ports]
    for port in ports:
        ready(port)
    with calling(*ports, secret=make_key().secret.text) as callers:
        callers.wait_for(1500)
    while processes:
        processes.pop().kill()
    verdict = judge(callers.answers, tmp_path / "spool", address=dsn())
    verdict.require_whole()
    assert sum(verdict.recorded.values()) == 700


def test_kill_9_of_gateways_and_workers_loses_and_doubles_nothing(app, make_key, environment, processes, tmp_path):
    limited_to(3000, app)
    ports = [free_port() for _ in range(2)]
    gateways = [Process(GATEWAY, port, environment=environment) for port in ports]
    worker = Process(WORKER, environment=environment)
    processes += [*gateways, worker]
    for port in ports:
        ready(port)
    dice = random.Random(20)
    with calling(*ports, secret=make_key().secret.text) as callers:
        for turn in range(12):
            callers.wait_for(dice.randrange(100, 400))
            victim = worker if turn % 3 == 2 else gateways[turn % 2]
            victim.kill()
            victim.start()
    while processes:
        processes.pop().kill()
    verdict = judge(callers.answers, tmp_path / "spool", address=dsn())
    verdict.require_whole(but_invented=True)
    assert len(callers.answers) > 1000
    assert sum(verdict.recorded.values()) <= 3000
