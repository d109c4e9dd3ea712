"""Callers who never finish a body: a few slow nobody, and behind the shipped nginx file hundreds do not."""

import http.client
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from apiauth.core.secrets import mint
from config import processes
from config.env import REPOSITORY
from tests.support.gateways import question
from tests.support.processes import GATEWAY, Process, environment_in, free_port, ready
from tests.support.running import until
from tests.support.web import web_process

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes, pytest.mark.timeout(180)]

SLOW_SENDERS = 200
OTHERS = 50
BOUND_SECONDS = 3  # of the others, for each of their answers
CHECK = json.dumps(question(mint("nw_live"))).encode()
# Method, address, body, and the status of who asks without a credential.
TO_GATEWAY = ("/v1/authz/check", CHECK, 401)
TO_WEB = ("/session/tickets", b"{}", 401)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    process = Process(GATEWAY, port, environment=environment_in(tmp_path))  # the patience of production: 10 s
    try:
        ready(port)
        yield port
    finally:
        process.kill()


@contextmanager
def slow_senders(count: int, port: int, path: str) -> Iterator[list[socket.socket]]:
    """Let so many callers promise a body and send one byte of it, until the block ends."""
    with ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(count)]
        for each in held:
            each.sendall(b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\n{" % path.encode())
        yield held


def statuses(port: int, path: str, body: bytes) -> set[int]:
    """Return the statuses that the others hear, each on a connection of its own and within the bound."""
    heard = set()
    for _ in range(OTHERS):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=BOUND_SECONDS)
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        heard.add(connection.getresponse().status)
        connection.close()
    return heard


def are_held(connections: list[socket.socket]) -> bool:
    """Tell whether all of these still wait, with no answer and no end."""
    for each in connections:
        each.setblocking(False)
        try:
            each.recv(1)
        except BlockingIOError:
            continue
        return False
    return True


def test_fewer_than_there_are_threads_slow_nobody(gateway: int) -> None:
    path, body, status = TO_GATEWAY
    with slow_senders(processes.GATEWAY_THREADS - 1, gateway, path) as held:
        assert statuses(gateway, path, body) == {status}
        assert are_held(held)


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[Callable[[int, int], tuple[int, int]]]:
    """Start the shipped file before two ports, and return those of nginx in their place."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        if os.environ.get("KEYSTEAD_REQUIRE_NGINX"):
            pytest.fail("nginx is not installed")
        pytest.skip("nginx is not installed on this machine")
    started: list[subprocess.Popen[bytes]] = []

    def start(web: int, gateway: int) -> tuple[int, int]:
        front = free_port(), free_port()
        (tmp_path / "keystead.conf").write_text(
            adapted((REPOSITORY / "deploy/nginx.conf").read_text(), web, gateway, front)
        )
        (tmp_path / "nginx.conf").write_text(surrounding(tmp_path))
        started.append(subprocess.Popen([program, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]))
        for port in front:
            until(lambda port=port: accepts(port), 10, "nginx listens")  # type: ignore[misc]  # of this turn
        return front

    yield start
    for process in started:
        process.terminate()
        process.wait()


def adapted(shipped: str, web: int, gateway: int, front: tuple[int, int]) -> str:
    """Return the shipped file with its marked lines changed, as an operator would, and with no TLS."""
    changes = {
        "server 127.0.0.1:8000 ": f"server 127.0.0.1:{web} ",
        "server 127.0.0.1:8001 ": f"server 127.0.0.1:{gateway} ",
        "listen 443 ssl;": f"listen 127.0.0.1:{front[0]};",
        "listen 10.0.0.5:8443;": f"listen 127.0.0.1:{front[1]};",
        "allow 10.0.0.0/8;": "allow 127.0.0.0/8;",
        "    ssl_certificate ": "    # ssl_certificate ",
        "    ssl_certificate_key ": "    # ssl_certificate_key ",
    }
    for line, changed in changes.items():
        assert shipped.count(line) == 1, line
        shipped = shipped.replace(line, changed)
    return shipped


def surrounding(folder: Path) -> str:
    """Return what a distribution's nginx.conf has around it, in a folder of this test."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    return (
        f"daemon off; master_process on; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log; {user}"
        f"events {{ worker_connections 4096; }} http {{ access_log off; {places} include {folder}/keystead.conf; }}"
    )


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("which", ["web", "gateway"])
def test_behind_nginx_two_hundred_slow_nobody(
    gateway: int, nginx: Callable[[int, int], tuple[int, int]], which: str
) -> None:
    with web_process() as web:
        front = nginx(web.port, gateway)
        port, (path, body, status) = (front[0], TO_WEB) if which == "web" else (front[1], TO_GATEWAY)
        with slow_senders(SLOW_SENDERS, port, path) as held:
            assert statuses(port, path, body) == {status}
            assert are_held(held)


def test_nginx_passes_metrics_on_to_nobody(gateway: int, nginx: Callable[[int, int], tuple[int, int]]) -> None:
    for port in nginx(free_port(), gateway):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=BOUND_SECONDS)
        connection.request("GET", "/metrics")
        assert connection.getresponse().status == 404
        connection.close()
