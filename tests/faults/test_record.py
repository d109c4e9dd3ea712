"""Gateways and workers are killed under load: no answered decision is lost, none is doubled, no limit is passed."""

import http.client
import json
import random
import threading

import psycopg
import pytest

from apiauth.audit.drain import Drain
from apiauth.core import clock
from apiauth.services import apps, limits
from tests.conftest import ACTOR
from tests.support.database import dsn, empty_decisions
from tests.support.gateways import question
from tests.support.processes import GATEWAY, Process, environment_in, free_port, ready

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes, pytest.mark.timeout(180)]

WORKER = """
import threading
from apiauth.audit import worker
from config import env
worker.run(env.load(), threading.Event(), lambda: None)
"""


class Caller(threading.Thread):
    """Asks one gateway again and again, and keeps every answer that came back."""

    def __init__(self, port, secret, stop):
        super().__init__()
        self.answers = []
        self._port, self._ending = port, stop
        self._body = json.dumps(question(secret)).encode()

    def run(self):
        while not self._ending.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            try:
                while not self._ending.is_set():
                    connection.request("POST", "/v1/authz/check", self._body, {"Content-Type": "application/json"})
                    response = connection.getresponse()
                    answer = json.loads(response.read())
                    if response.status == 200:
                        self.answers.append((answer["request_id"], answer["allowed"]))
            except (OSError, http.client.HTTPException, ValueError):
                self._ending.wait(0.02)
            finally:
                connection.close()


@pytest.fixture
def environment(tmp_path, transactional_db):
    empty_decisions()
    yield environment_in(tmp_path)
    empty_decisions()


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


def run_load(ports, secret, disturb):
    stop = threading.Event()
    callers = [Caller(port, secret, stop) for port in ports for _ in range(2)]
    for caller in callers:
        caller.start()
    try:
        disturb(callers)
    finally:
        stop.set()
        for caller in callers:
            caller.join()
    return [answer for caller in callers for answer in caller.answers]


def drained(folder):
    with psycopg.connect(dsn(), autocommit=True) as connection:
        drain = Drain(connection, folder)
        while list(folder.glob("*.spool")):
            drain.drain()
        rows = connection.execute(
            "SELECT 'req_' || replace(id::text, '-', ''), allowed FROM apiauth_decision"
        ).fetchall()
        counted = connection.execute("SELECT sum(count) FROM apiauth_decisionrollup").fetchone()[0]
    return rows, counted


def test_four_gateways_admit_exactly_the_number_and_record_every_answer(
    app, make_key, environment, processes, tmp_path
):
    limited_to(700, app)
    secret = make_key().secret.text
    ports = [free_port() for _ in range(4)]
    processes += [Process(GATEWAY, port, environment=environment) for port in ports]
    for port in ports:
        ready(port)

    def wait_until_over(callers):
        while sum(len(caller.answers) for caller in callers) < 1500:
            assert all(caller.is_alive() for caller in callers)

    answers = run_load(ports, secret, wait_until_over)
    while processes:
        processes.pop().kill()
    rows, counted = drained(tmp_path / "spool")
    assert sum(allowed for _, allowed in answers) == 700
    assert sorted(rows) == sorted(answers)
    assert counted == len(rows)


def test_kill_9_of_gateways_and_workers_loses_and_doubles_nothing(app, make_key, environment, processes, tmp_path):
    limited_to(3000, app)
    secret = make_key().secret.text
    ports = [free_port() for _ in range(2)]
    gateways = [Process(GATEWAY, port, environment=environment) for port in ports]
    worker = Process(WORKER, environment=environment)
    processes += [*gateways, worker]
    for port in ports:
        ready(port)
    dice = random.Random(20)

    def disturb(callers):
        for turn in range(12):
            enough = sum(len(caller.answers) for caller in callers) + dice.randrange(100, 400)
            while sum(len(caller.answers) for caller in callers) < enough:
                assert all(caller.is_alive() for caller in callers)
            victim = worker if turn % 3 == 2 else gateways[turn % 2]
            victim.kill()
            victim.start()

    answers = run_load(ports, secret, disturb)
    while processes:
        processes.pop().kill()
    rows, counted = drained(tmp_path / "spool")
    recorded = dict(rows)
    assert len(recorded) == len(rows) == counted, "none doubled, and counted once each"
    assert len(answers) > 1000
    assert all(recorded.get(request_id) == allowed for request_id, allowed in answers), "none lost"
    assert sum(recorded.values()) <= 3000
