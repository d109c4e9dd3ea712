"""A gateway with few descriptors: none is left open, and more callers than there are descriptors do it no harm."""

import os
import socket
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.support.database import dsn
from tests.support.oracle import calling, judge
from tests.support.processes import GATEWAY, Process, environment_in, free_port, ready
from tests.support.running import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes, pytest.mark.timeout(180)]

DESCRIPTORS = 64
SERVE = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS}))
{GATEWAY}
"""


@pytest.fixture
def gateway(transactional_db, tmp_path):
    port = free_port()
    process = Process(SERVE, port, environment=environment_in(tmp_path))
    try:
        ready(port)
        yield process, port
    finally:
        process.kill()


def descriptors_of(process):
    """Return how many descriptors each process of a group holds, the parent first."""
    family = [process.process.pid]
    family += [int(pid) for pid in Path(f"/proc/{family[0]}/task/{family[0]}/children").read_text().split()]
    return [len(os.listdir(f"/proc/{pid}/fd")) for pid in family]


def end_database_sessions():
    """End the gateway's sessions at the server, and tell how many there were."""
    with psycopg.connect(dsn(), autocommit=True) as connection:
        ended = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'keystead-gateway'"
        ).fetchone()
    return ended[0]


def test_neither_calls_nor_connections_nor_an_interrupted_database_leave_one_open(gateway, make_key, tmp_path):
    process, port = gateway
    secret = make_key().secret.text
    before = descriptors_of(process)
    with calling(port, secret=secret) as callers:
        callers.wait_for(100)
    for _ in range(8):
        with calling(port, secret=secret, each=5) as more:
            more.wait_for(100)
        callers += more
        until(end_database_sessions, 10, "the gateway has come back to the database")
    until(lambda: descriptors_of(process) == before, 20, "as many descriptors as before")
    process.kill()
    judge(callers.answers, tmp_path / "spool", address=dsn()).require_whole()


def test_more_callers_than_descriptors_wait_and_stop_nobody_for_good(gateway, make_key, tmp_path):
    process, port = gateway
    secret = make_key().secret.text
    before = descriptors_of(process)
    with ExitStack() as idle:
        for _ in range(2 * DESCRIPTORS):
            idle.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        until(lambda: max(descriptors_of(process)) >= DESCRIPTORS - 1, 20, "no descriptor is left")
        end_database_sessions()
    with calling(port, secret=secret) as callers:
        callers.wait_for(100)
    assert process.process.poll() is None
    until(lambda: descriptors_of(process) == before, 20, "as many descriptors as before")
    process.kill()
    judge(callers.answers, tmp_path / "spool", address=dsn()).require_whole()
