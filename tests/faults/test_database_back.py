"""The database is gone and comes back: no process is started again, and every decision of the time is recorded."""

import os
import signal
import subprocess
import sys
import tempfile
from http.client import HTTPConnection
from pathlib import Path

import psycopg
import pytest

from config.env import REPOSITORY
from config.postgres import EmbeddedPostgres
from tests.support.oracle import calling, judge
from tests.support.processes import GATEWAY, WORKER, Process, environment_in, free_port, ready
from tests.support.running import until
from tests.support.web import SERVE

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

MAKE_KEY = """
import django
django.setup()
from apiauth.core import clock
from apiauth.core.actor import Actor
from apiauth.services import apps, deployments, keys, limits
by = {"actor": Actor(kind="command", id="test", name="Test", via="command"), "now": clock.now()}
deployment = deployments.create_deployment(name="Northwind", allowed_origins=(), **by)
many = {"unit": "minute", "duration": 1, "max_requests": 2_000_000_000}  # nobody waits for a window to end
limits.create_scheme(deployment_id=deployment.id, slug="many", name="Many", rules=[many], **by)
fields = {"slug": "aa_1", "name": "Maps", "key_prefix": "nw_live", "rate_limit_scheme_slug": "many"}
app = apps.create_app(deployment_id=deployment.id, fields=fields, **by)
print(keys.create_key(app_id=app.id, name="ci", **by).secret.text)
"""


@pytest.fixture
def server(monkeypatch):
    """A database server of its own, which can be stopped."""
    monkeypatch.delenv("KEYSTEAD_POSTGRES_PASSWORD", raising=False)
    with tempfile.TemporaryDirectory(prefix="keystead-back-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(Path(folder) / "data")  # durable: what was committed is there after a cut
        server.start()
        yield server
        server.remove()


@pytest.fixture
def environment(server, tmp_path):
    """The environment of processes over that server, with our tables in it."""
    environment = environment_in(tmp_path) | {"DATABASE_URL": server.database_url}
    command = [sys.executable, str(REPOSITORY / "manage.py"), "migrate"]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return environment


@pytest.fixture
def processes(environment):
    """A gateway, a worker and a web process, by name, and the ports of two of them."""
    ports = {"gateway": free_port(), "web": free_port()}
    started = {
        "gateway": Process(GATEWAY, ports["gateway"], environment=environment),
        "web": Process(SERVE, ports["web"], environment=environment),
        "worker": Process(WORKER, environment=environment),
    }
    try:
        for port in ports.values():
            ready(port)
        yield started, ports
    finally:
        for process in started.values():
            process.kill()


def status(port, path="/ready"):
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def stop_immediately(server):
    """As `pg_ctl stop -m immediate`: its sessions are cut off, its log is replayed at the next start."""
    os.kill(server.pid, signal.SIGQUIT)
    until(lambda: server.pid is None, 20, "the server has ended")


def test_everything_goes_on_by_itself_and_nothing_is_lost(server, environment, processes, tmp_path):
    started, ports = processes
    made = subprocess.run(
        [sys.executable, "-c", MAKE_KEY], env=environment, check=True, capture_output=True, text=True, cwd=REPOSITORY
    )
    spool = tmp_path / "spool"
    with calling(ports["gateway"], secret=made.stdout.strip()) as callers:
        callers.wait_for(100)
        for _ in range(2):
            stop_immediately(server)
            callers.wait_for(200)
            assert callers.heard(503) == 0, "what is known is answered from memory"
            assert status(ports["web"]) == 503
            assert status(ports["web"], "/health") == 200
            server.start()
            until(lambda: status(ports["web"]) == 200, 20, "the web process serves again")
        with psycopg.connect(server.database_url) as connection:
            connection.execute("UPDATE apiauth_key SET revoked_at = now()")
        callers.wait_for(20, status=401)
    until(lambda: waiting(spool, server.database_url) == 0, 60, "the worker has drained the spool")
    assert all(process.process.poll() is None for process in started.values()), "nothing was started again"
    started["gateway"].kill()
    judge(callers.answers, spool, address=server.database_url).require_whole()


def waiting(spool, address):
    """Return how many bytes of the spool are not in the database."""
    with psycopg.connect(address) as connection:
        drained = dict(connection.execute("SELECT name, drained_bytes FROM apiauth_spoolfile").fetchall())
    return sum(path.stat().st_size - drained.get(path.name, 0) for path in spool.glob("*.spool"))
