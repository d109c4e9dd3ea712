"""A reload, and a stop, drop no request; neither waits longer than its bound."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from apiauth.models import GatewayStatus
from config import env, ports, supervisor
from config.env import REPOSITORY
from tests.support.gateways import question
from tests.support.processes import environment_in, free_port, ready
from tests.support.running import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes, pytest.mark.timeout(180)]

RELOADS = 5
PATIENCE_SECONDS = 30


class Caller(threading.Thread):
    """Asks again and again on one connection, as long as it is kept; counts the answers, and what was none."""

    def __init__(self, port, secret, stop, *, keeps_alive=True):
        super().__init__()
        self.counted, self.farewells = Counter(), 0
        self._port, self._ending, self._keeps_alive = port, stop, keeps_alive
        self._body = json.dumps(question(secret)).encode()

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_SECONDS)
        while not self._ending.is_set():
            try:
                connection.request("POST", "/v1/authz/check", self._body)
                answer = connection.getresponse()
                answer.read()
                self.counted[answer.status] += 1
                self.farewells += answer.getheader("Connection") == "close"
            except (OSError, http.client.HTTPException) as problem:
                self.counted[repr(problem)] += 1
                connection.close()
            if not self._keeps_alive:
                connection.close()
            self._ending.wait(0.002)  # leave some of the processor to those that start
        connection.close()


def children_of(pid):
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


class Servers:
    """`./keystead gateway` as an operator's process manager runs it."""

    def __init__(self, folder, processes=1, *, port=None, terminal=None, **variables):
        self.port, self.output = port or free_port(), folder / "output"
        command = [sys.executable, str(REPOSITORY / "manage.py"), "gateway"]
        command += ["--port", str(self.port), "--processes", str(processes)]
        if terminal:  # the first one that the leader of a session opens is its own
            command = ["sh", "-c", f'exec "$@" <{terminal}', "sh", *command]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env=environment_in(folder) | variables,
                stderr=output,
                start_new_session=True,
            )
        ready(self.port)

    def said(self, sentence):
        return self.output.read_text().count(sentence)

    def children(self):
        """Return the pids of the processes that it supervises."""
        return children_of(self.process.pid)

    def reload(self):
        before = self.said("Reloaded.")
        self.process.send_signal(signal.SIGHUP)
        until(lambda: self.said("Reloaded.") > before, 60, "the reload is over")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def affinities(servers):
    """Return where each supervised process may run, in order; what it has started may run there too."""
    found = []
    for pid in servers.children():
        allowed = os.sched_getaffinity(pid)
        assert all(os.sched_getaffinity(child) == allowed for child in children_of(pid))
        found.append(sorted(allowed))
    return sorted(found)


@pytest.fixture
def start(tmp_path):
    started = []

    def begin(*arguments, **named):
        started.append(Servers(tmp_path, *arguments, **named))
        return started[-1]

    yield begin
    for each in started:
        each.kill()


@contextmanager
def calling(port, secret, kept=4, others=0):
    """Let so many callers ask until the block ends, in which each has been answered at least once."""
    stop = threading.Event()
    callers = [Caller(port, secret, stop, keeps_alive=number < kept) for number in range(kept + others)]
    for caller in callers:
        caller.start()
    try:
        until(lambda: all(caller.counted for caller in callers), PATIENCE_SECONDS, "an answer to each")
        yield callers
    finally:
        stop.set()
        for caller in callers:
            caller.join()


def counted(callers):
    return sum((caller.counted for caller in callers), Counter())


def open_and_ask(port, path="/health"):
    """Return a connection that was answered once and is kept."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    connection.request("GET", path)
    connection.getresponse().read()
    return connection


def test_reloads_under_load_drop_no_request(start, make_key):
    """Callers who keep their connections, and callers who make one for each question, hear 200 alone."""
    secret = make_key().secret.text
    servers = start()
    with calling(servers.port, secret, kept=4, others=2) as callers:
        for _ in range(RELOADS):
            servers.reload()
    assert set(counted(callers)) == {200}
    assert all(caller.farewells >= RELOADS for caller in callers[:4]), "each kept connection was let go each time"


def test_a_reload_gives_each_of_several_processes_a_successor(start, make_key):
    secret = make_key().secret.text
    servers = start(processes=2)
    before = servers.children()
    with calling(servers.port, secret) as callers:
        servers.reload()
    after = servers.children()
    assert set(counted(callers)) == {200}
    assert len(before) == len(after) == 2
    assert not before & after


def test_a_successor_that_does_not_start_changes_nothing(start, tmp_path, make_key):
    peppers = tmp_path / "peppers"
    peppers.write_text(env.secret("PEPPERS"))
    secret = make_key().secret.text
    servers = start(KEYSTEAD_PEPPERS_FILE=str(peppers))
    before = servers.children()
    peppers.write_text("none")
    with calling(servers.port, secret) as callers:
        servers.process.send_signal(signal.SIGHUP)
        until(lambda: servers.said("The reload ends here"), PATIENCE_SECONDS, "the reload is given up")
    assert set(counted(callers)) == {200}
    assert servers.said("The new gateway-1 does not start")
    assert servers.children() == before


def test_before_a_stop_readiness_goes_and_each_answer_says_goodbye(start):
    servers = start()
    connections = [open_and_ask(servers.port) for _ in range(3)]
    servers.process.send_signal(signal.SIGTERM)
    until(lambda: ports.answers(servers.port, "/health") and not ports.answers(servers.port, "/ready"), 5, "readiness")
    for connection in connections:
        connection.request("GET", "/health")
        answer = connection.getresponse()
        assert (answer.status, answer.getheader("Connection")) == (200, "close")
        answer.read()
    assert servers.process.wait(PATIENCE_SECONDS) == 0


def test_a_gateway_that_stops_takes_its_leave(start, tmp_path):
    """It is on no list, has reported no metrics, and has sealed its spool and given its reserve back."""
    others = GatewayStatus.objects.count()  # of tests that kill
    servers = start()
    assert GatewayStatus.objects.count() == others + 1
    until(lambda: list(tmp_path.glob("spool/metrics/gateway-*")), PATIENCE_SECONDS, "its first report")
    servers.process.send_signal(signal.SIGTERM)
    assert servers.process.wait(PATIENCE_SECONDS) == 0
    assert GatewayStatus.objects.count() == others
    assert not list(tmp_path.glob("spool/metrics/gateway-*")) + list(tmp_path.glob("spool/*.birth"))
    assert not servers.said("Unexpected exit")


def test_a_stop_waits_no_longer_than_its_bound(start):
    """One caller never comes back on its connection, another never finishes its body."""
    servers = start(KEYSTEAD_STOP_SECONDS="1")
    idle = open_and_ask(servers.port)
    with socket.create_connection(("127.0.0.1", servers.port)) as slow:
        slow.sendall(b"POST /v1/authz/check HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{")
        servers.process.send_signal(signal.SIGTERM)
        assert servers.process.wait(1 + supervisor.FORCE_SECONDS + 2) == 0
    idle.close()


def test_connections_that_linger_do_not_keep_the_next_start_from_its_port(start):
    servers = start()
    for _ in range(3):
        open_and_ask(servers.port).close()
    kept = open_and_ask(servers.port)
    servers.kill()
    assert start(port=servers.port).port == servers.port
    kept.close()


def test_an_interrupt_does_not_wait_for_callers(start):
    servers = start(KEYSTEAD_STOP_SECONDS="600")
    idle = open_and_ask(servers.port)
    servers.process.send_signal(signal.SIGTERM)
    until(lambda: not ports.answers(servers.port, "/ready"), 5, "readiness")
    servers.process.send_signal(signal.SIGINT)
    assert servers.process.wait(supervisor.AT_ONCE_SECONDS + 2) == 0
    idle.close()


def test_a_closed_terminal_ends_what_was_started_in_it(start):
    controller, terminal = os.openpty()
    ours = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # one that is ignored here, as under nohup, is inherited
    servers = start(terminal=os.ttyname(terminal))
    signal.signal(signal.SIGHUP, ours)
    os.close(terminal)
    os.close(controller)
    assert servers.process.wait(PATIENCE_SECONDS) == 0


def test_each_gateway_keeps_to_a_processor_and_so_does_its_successor(start):
    allowed = sorted(os.sched_getaffinity(0))
    servers = start(2, KEYSTEAD_GATEWAY_AFFINITY="processor")
    kept = affinities(servers)
    assert kept == sorted([[allowed[1 % len(allowed)]], [allowed[2 % len(allowed)]]])
    servers.reload()
    assert affinities(servers) == kept


def test_a_gateway_runs_anywhere_unless_it_is_told_otherwise(start):
    assert affinities(start()) == [sorted(os.sched_getaffinity(0))]
