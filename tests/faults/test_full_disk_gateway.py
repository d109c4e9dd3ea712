"""A running gateway whose disk is full goes on as long as something can take its record, and says so over HTTP."""

import json
from http.client import HTTPConnection

import pytest

from tests.faults.test_full_disk import disk, fill  # noqa: F401  # a fixture is used by its name
from tests.support.database import dsn
from tests.support.oracle import calling, judge
from tests.support.processes import GATEWAY, Process, environment_in, free_port, ready
from tests.support.proxy import FreezingProxy
from tests.support.running import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes, pytest.mark.timeout(120)]


@pytest.fixture
def proxy(transactional_db):
    proxy = FreezingProxy(dsn())
    yield proxy
    proxy.close()


@pytest.fixture
def gateway(disk, proxy, tmp_path):  # noqa: F811
    """A gateway and its port; its spool lies on a disk of one mebibyte, with no reserve."""
    environment = environment_in(tmp_path) | {
        "DATABASE_URL": proxy.address,
        "KEYSTEAD_SPOOL_DIR": str(disk / "spool"),
        "KEYSTEAD_SPOOL_RESERVE_MIB": "0",
        "KEYSTEAD_STALE_BOUND_SECONDS": "600",
    }
    number = free_port()
    process = Process(GATEWAY, number, environment=environment)
    try:
        ready(number)
        yield process, number
    finally:
        process.kill()


def asked(port, path):
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_it_answers_by_way_of_the_database_then_503_and_then_as_before(
    make_key,
    gateway,
    disk,  # noqa: F811
    proxy,
):
    process, port = gateway
    with calling(port, secret=make_key().secret.text) as callers:
        callers.wait_for(100)
        assert asked(port, "/ready")[0] == 200

        filler = fill(disk)
        status, body = asked(port, "/ready")
        assert (status, body["status"]) == (503, "spool_full")
        assert body["spool"]["used"] > 0.8
        assert asked(port, "/health")[0] == 200, "the process lives"
        callers.wait_for(200)
        assert callers.heard(503) == 0, "the database takes what the disk does not"

        proxy.close()
        callers.wait_for(20, status=503)
        answered = callers.heard(200)
        callers.wait_for(20, status=503)
        assert callers.heard(200) == answered, "nothing is allowed that is recorded nowhere"

        filler.unlink()
        callers.wait_for(100)
        until(lambda: asked(port, "/ready")[0] == 200, 10, "the gateway is ready again")
    process.kill()
    verdict = judge(callers.answers, disk / "spool", address=dsn())
    verdict.require_whole(but_invented=True)
    assert len(verdict.invented) <= len(callers), "at most those whose commit the end of the connection cut off"
