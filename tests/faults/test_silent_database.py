"""A connection that falls silent without an end: what was revoked meanwhile is refused all the same."""

import json
import socket
import threading
from contextlib import suppress
from types import SimpleNamespace

import psycopg
import pytest
from django.utils import timezone

from apiauth.audit import worker
from apiauth.models import Key
from apiauth.verify import watch
from tests.db.test_drain import record, write
from tests.support.database import dsn
from tests.support.gateway_process import GatewayProcess
from tests.support.gateways import GatewayInProcess, question
from tests.support.oracle import calling
from tests.support.proxy import FreezingProxy
from tests.support.running import until

pytestmark = pytest.mark.django_db(transaction=True)

HALF_OPEN_SECONDS = 2
"""How long a revoke may not be heard of where the connection has just fallen silent: twice what it takes."""

READY_FOR_QUERY = b"Z\0\0\0\x05I"
"""The end of what the server says when a login has succeeded."""


class SilentAfterLogin(FreezingProxy):
    """Passes the login of the first connection on and nothing after it; all other connections pass."""

    def _pass_on(self, source: socket.socket, target: socket.socket, is_open: threading.Event) -> None:
        if source.family == socket.AF_UNIX and self.accepted == 1:
            self._pass_login_on(source, target)
            self.freeze()
        super()._pass_on(source, target, is_open)

    def _pass_login_on(self, server: socket.socket, client: socket.socket) -> None:
        said = b""
        with suppress(OSError):
            while not said.endswith(READY_FOR_QUERY) and (data := server.recv(65536)):
                client.sendall(data)
                said += data


@pytest.fixture
def proxy(transactional_db):
    proxy = FreezingProxy(dsn())
    yield proxy
    proxy.close()


@pytest.mark.processes
def test_a_revoke_is_heard_soon_after_the_connection_fell_silent(proxy, make_key, tmp_path):
    secret = make_key().secret.text
    gateway = GatewayProcess(tmp_path, database=proxy.address)
    try:
        with calling(gateway.port, secret=secret) as callers:
            callers.wait_for(100)
            proxy.freeze()
            Key.objects.update(revoked_at=timezone.now())
            until(lambda: callers.heard(401), HALF_OPEN_SECONDS, "callers are refused")
            allowed = callers.heard(200)
            callers.wait_for(100, status=401)
            assert callers.heard(200) <= allowed + len(callers), "no more than what was under way"
            assert callers.heard(503) == 0
        assert gateway.health()["status"] == "ok"
    finally:
        gateway.kill()
    gateway.judged(callers).require_whole()


def test_a_silent_connection_is_given_up_for_another_and_the_log_says_so(proxy, make_key, tmp_path, caplog):
    secret = make_key().secret.text
    gateway = GatewayInProcess(tmp_path, database=proxy.address)
    try:
        assert gateway.check(secret)[0] == 200
        proxy.freeze()
        Key.objects.update(revoked_at=timezone.now())
        gateway.until(secret, 401, seconds=10)
        assert gateway.check(secret)[1]["rule"] == "key_revoked"
        assert "listener.cut_off" in caplog.text
    finally:
        gateway.close()


def test_a_database_that_is_merely_slow_keeps_its_connection(proxy, make_key, tmp_path, caplog):
    """Another connection is as slow: it is tried now and then, and the one that there is goes on."""
    secret = make_key().secret.text
    gateway = GatewayInProcess(tmp_path, database=proxy.address)
    try:
        proxy.delay_seconds = 1.2 * watch.DOUBT_SECONDS
        before, polls = proxy.accepted, 6
        for _ in range(polls):
            heard = gateway.snapshot.confirmed_at
            until(lambda: gateway.snapshot.confirmed_at > heard, 10, "another poll is answered")  # noqa: B023
        assert 1 <= proxy.accepted - before <= polls // 2, "not one for each poll"
        assert "listener.cut_off" not in caplog.text
        assert gateway.check(secret)[0] == 200
    finally:
        proxy.delay_seconds = 0.0
        gateway.close()


def test_the_worker_gives_a_silent_connection_up_and_drains_over_another(proxy, tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "PATIENCE_SECONDS", 0.5)
    environment = SimpleNamespace(direct_database_url=proxy.address, spool_dir=tmp_path, keep_decisions_days=0)
    stop, started = threading.Event(), threading.Event()
    thread = threading.Thread(target=worker.run, args=(environment, stop, started.set))
    thread.start()
    try:
        assert started.wait(30)
        proxy.freeze()
        write(tmp_path, [record() for _ in range(10)])
        until(lambda: not list(tmp_path.glob("*.spool")), 30, "the spool is drained")
    finally:
        stop.set()
        proxy.close()
        thread.join()
    with psycopg.connect(dsn()) as connection:
        assert connection.execute("SELECT count(*) FROM apiauth_decision").fetchone() == (10,)


def test_503_where_the_database_cannot_be_reached_for_longer_than_the_bound(proxy, make_key, tmp_path):
    secret = make_key().secret.text
    gateway = GatewayInProcess(tmp_path, database=proxy.address, stale_bound_seconds=0)
    try:
        assert gateway.check(secret)[0] == 200
        proxy.close()
        gateway.until(secret, 503, seconds=10)
        assert gateway.call(b"", path="/ready", method="GET")[0] == 503
    finally:
        gateway.close()


def test_503_for_everybody_where_the_database_was_never_reached(make_key, tmp_path, proxy):
    secret = make_key().secret.text
    address = proxy.address
    proxy.close()
    gateway = GatewayInProcess(tmp_path, database=address, waits=False)
    try:
        status, headers, answer = gateway.call(json.dumps(question(secret)).encode())
        assert (status, answer["code"], answer["stale_ms"]) == (503, "stale", None)
        assert not {"Keystead-Generation", "Keystead-Stale-Ms"} & headers.keys(), "it knows nothing"
        assert gateway.call(b"", path="/health", method="GET")[2]["status"] == "loading"
        assert gateway.records() == []
    finally:
        gateway.close()


def test_a_listener_whose_connection_falls_silent_right_after_the_login_loads_over_another(make_key, tmp_path):
    secret = make_key().secret.text
    proxy = SilentAfterLogin(dsn())
    gateway = GatewayInProcess(tmp_path, database=proxy.address, waits=False)
    try:
        assert gateway.listener.loaded.wait(30)
        assert gateway.check(secret)[0] == 200
        assert proxy.accepted > 1, "the first was given up"
    finally:
        proxy.close()
        gateway.close()
