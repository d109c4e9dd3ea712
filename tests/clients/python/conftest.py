"""A whole Keystead, and a small honest peer in its place: that one counts, and fails in every way it is told to."""

import asyncio
import json
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from keystead_client import AsyncKeystead, Keystead, Rule

from tests.support.running import Running
from tests.support.running import keystead as running_keystead

SOURCE = Path(__file__).resolve().parents[3] / "clients" / "python" / "src"
KEY = "nw_live_" + "k" * 49
BACKEND_KEY = "ksb_" + "b" * 49
PATIENT, BRIEF = 30.0, 0.3  # seconds; the machine may be busy, and only what never comes is waited for in full
UNUSED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nothing here speaks TLS, and reading the certificates takes time
DROP = "drop"  # the connection ends without an answer
HANG = "hang"  # no answer ever comes
ALLOWED = {
    "request_id": "req_1",
    "allowed": True,
    "reason": None,
    "blocked_rule": None,
    "rule": None,
    "identity": {"key_id": "90", "deployment_id": "1", "app_slug": "aa_1", "key_name": "ci"},
    "permissions": ["routes:read"],
    "metadata": {},
    "rate_limits": [{"rule": "60/60s", "remaining": 59, "limit": 60}],
    "retry_after": None,
    "headers": {
        "x-wacht-key-id": "90",
        "x-ratelimit-60s-limit": "60",
        "x-ratelimit-60s-remaining": "59",
        "ratelimit": '"60/60s";r=59;t=37',
        "ratelimit-policy": '"60/60s";q=60;w=60',
    },
    "stale_ms": 0,
}
BLOCKED = ALLOWED | {"allowed": False, "permissions": [], "headers": {}, "rate_limits": []}


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Peer:
    """What was asked over how many connections, and what the next questions are answered with."""

    url: str = ""
    connections: int = 0
    asked: list[Asked] = field(default_factory=list)
    answers: deque[Any] = field(default_factory=deque)
    always: Any = (200, ALLOWED)
    hanging: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    over: threading.Event = field(default_factory=threading.Event)

    def will_answer(self, *answers: Any) -> None:
        """Answer the next requests so: status, body and perhaps headers, or what returns those, or DROP, or HANG."""
        self.answers.extend(answers)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    peer: Peer

    def setup(self) -> None:
        super().setup()
        self.peer.connections += 1

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, json.loads(body) if body else None)
        self.peer.asked.append(asked)
        answer = self.peer.answers.popleft() if self.peer.answers else self.peer.always
        if answer == HANG:
            self.peer.hanging.release()
            self.peer.over.wait()
        if answer in (DROP, HANG):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(*(answer(asked) if callable(answer) else answer))

    do_GET = do_POST = do_PATCH = do_DELETE = answer

    def _send(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    handler = type("Handler", (_Handler,), {"peer": peer})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        peer.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield peer
        peer.over.set()
        server.shutdown()
        thread.join()


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return what a coroutine returns, run in a thread of its own: the main one may have a loop of Playwright's."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result(60)


Ask = Callable[..., Any]


@pytest.fixture(params=["threads", "asyncio"])
def ask(request: pytest.FixtureRequest, peer: Peer) -> Ask:
    """Ask the peer one thing through a client of either kind: `ask("check", KEY, …, client={…})`."""
    options: dict[str, Any] = {"url": peer.url, "backend_key": BACKEND_KEY, "gateway_url": peer.url}
    options |= {"check_timeout_seconds": PATIENT, "verify": UNUSED}

    def ask_in_thread(name: str, /, *args: Any, client: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        with Keystead(**{**options, **(client or {})}) as keystead:
            return getattr(keystead, name)(*args, **kwargs)

    async def ask_in_loop(name: str, args: Any, client: dict[str, Any], kwargs: Any) -> Any:
        async with AsyncKeystead(**{**options, **client}) as keystead:
            return await getattr(keystead, name)(*args, **kwargs)

    def ask_in_own_loop(name: str, /, *args: Any, client: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        return run(ask_in_loop(name, args, client or {}, kwargs))

    return ask_in_thread if request.param == "threads" else ask_in_own_loop


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_keystead(tmp_path_factory.mktemp("client") / "data") as running:
        yield running


def patient(running: Running) -> dict[str, Any]:
    """Where the gateway is; the machine may be busy."""
    return {"gateway_url": running.gateway_url, "check_timeout_seconds": PATIENT}


@pytest.fixture(scope="session")
def keystead(running: Running) -> Iterator[Keystead]:
    with Keystead(running.web_url, running.backend_key, **patient(running)) as keystead:
        yield keystead


@pytest.fixture
def slug(keystead: Keystead) -> str:
    """A new app, whose keys may call twice an hour."""
    slug = f"aa_{time.time_ns()}"
    rules = [Rule("calendar_month", 1, 2, mode="per_key")]
    keystead.create_scheme(slug, name="Twice", rules=rules)
    keystead.create_app(
        slug, name="Acme", key_prefix="acme", permissions=["routes:read", "routes:write"], rate_limit_scheme_slug=slug
    )
    return slug
