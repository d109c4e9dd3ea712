"""The example product keeps its side of the hand-over, and lets no call through unasked.

The product runs as its own process. What it asks is answered by a small HTTP peer in a thread,
which stands where Keystead would: these tests are about the product alone.
"""

import base64
import hashlib
import http.client
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
BACKEND_KEY = "ksb_" + "b" * 49
KEY = "acme_live_" + "k" * 49
ALLOWED = {
    "request_id": "req_1",
    "allowed": True,
    "reason": None,
    "blocked_rule": None,
    "identity": {"app_slug": "aa_demo"},
    "headers": {"x-wacht-key-id": "90", "x-ratelimit-60s-remaining": "59"},
}
BLOCKED = {"request_id": "req_2", "allowed": False, "identity": None, "headers": {}, "retry_after": None}
TICKET = {"ticket": "kst_x", "url": "http://127.0.0.1:9/vanity/api-auth?ticket=kst_x", "expires_at": 1}


@dataclass
class Peer:
    """What was asked, and what the next questions are answered with."""

    url: str
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)


@pytest.fixture
def peer() -> Iterator[Peer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            peer.asked.append((self.path, dict(self.headers.items()), body))
            status, answer = peer.answers[self.path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer if isinstance(answer, bytes) else json.dumps(answer).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        peer = Peer(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield peer
        server.shutdown()
        thread.join()


class Product:
    """A running product, and a browser's worth of state."""

    def __init__(self, folder: Path, url: str) -> None:
        key_file = folder / "backend_key"
        key_file.write_text(f"{BACKEND_KEY}\n")
        self.port_file = folder / "port"
        environment = {
            "KEYSTEAD_URL": url,
            "KEYSTEAD_GATEWAY_URL": url,
            "KEYSTEAD_BACKEND_KEY_FILE": str(key_file),
            "KEYSTEAD_APP": "aa_demo",
            "PRODUCT_PORT_FILE": str(self.port_file),
            "PYTHONPATH": str(EXAMPLES.parent / "clients" / "python" / "src"),
        }
        command = [sys.executable, str(EXAMPLES / "product.py")]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.log = self.process.stderr.readline()
        self.port = int(self.port_file.read_text())
        self.cookie = ""

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        sent = {"Cookie": self.cookie, "Content-Type": "application/x-www-form-urlencoded", **headers}
        connection.request(method, path, body, sent)
        response = connection.getresponse()
        answer = response.read().decode()
        connection.close()
        received = {name.lower(): value for name, value in response.getheaders()}
        self.cookie = received.get("set-cookie", self.cookie).split(";")[0]
        return response.status, received, answer

    def submit(self, path: str, **fields: str) -> tuple[int, dict[str, str], str]:
        return self.ask("POST", path, urlencode(fields), Origin=f"http://127.0.0.1:{self.port}")

    def call(self, method: str = "GET", key: str = KEY) -> tuple[int, dict[str, str], Any]:
        status, headers, body = self.ask(method, "/v2/routes?near=x", Authorization=f"Bearer {key}")
        return status, headers, json.loads(body)

    def stop(self) -> str:
        self.process.terminate()
        self.log += self.process.communicate(timeout=10)[1]
        return self.log


@pytest.fixture
def product(tmp_path: Path, peer: Peer) -> Iterator[Product]:
    running = Product(tmp_path, peer.url)
    yield running
    running.stop()


def test_the_product_is_short_enough_to_read_in_one_go() -> None:
    assert len((EXAMPLES / "product.py").read_text().splitlines()) < 200


def test_a_user_with_the_right_is_sent_on_with_a_fresh_ticket(product: Product, peer: Peer) -> None:
    peer.answers["/session/tickets"] = 200, TICKET
    product.submit("/sign-in", user="dana")

    status, headers, _ = product.submit("/keys")

    assert (status, headers["location"]) == (303, TICKET["url"])
    path, sent, body = peer.asked[0]
    assert (path, sent["Authorization"]) == (
        "/session/tickets",
        f"Bearer {BACKEND_KEY}",
    )
    assert body == {
        "ticket_type": "api_auth_access",
        "api_auth_app_slug": "aa_demo",
        "subject": {"id": "dana", "name": "Dana Okafor", "email": "dana@acme-logistics.example"},
        "role": "admin",
        "return_url": f"http://127.0.0.1:{product.port}/settings",
    }


@pytest.mark.parametrize("user", ["sam", "nobody-we-know"])
def test_a_user_without_the_right_gets_403_and_no_ticket_is_asked_for(product: Product, peer: Peer, user: str) -> None:
    product.submit("/sign-in", user=user)

    status, _, page = product.submit("/keys")

    assert status == 403
    assert "manage API keys" in page
    assert peer.asked == []


def test_a_form_from_elsewhere_gets_403_and_no_ticket_is_asked_for(product: Product, peer: Peer) -> None:
    product.submit("/sign-in", user="dana")

    for origin in ({}, {"Origin": "null"}, {"Origin": f"http://localhost:{product.port}"}, {"Origin": peer.url}):
        assert product.ask("POST", "/keys", **origin)[0] == 403
    assert peer.asked == []


def test_the_own_page_holds_no_ticket_and_asks_for_one_behind_the_same_gate(product: Product, peer: Peer) -> None:
    peer.answers["/session/tickets"] = 200, TICKET
    product.submit("/sign-in", user="dana")

    status, _, page = product.ask("GET", "/settings/api-keys")
    assert status == 200
    assert "kst_" not in page
    assert peer.asked == []

    status, headers, body = product.submit("/settings/api-keys/tickets")
    assert (status, json.loads(body)) == (200, {"ticket": "kst_x"})
    assert headers["cache-control"] == "no-store"
    assert peer.asked[0][2]["subject"]["id"] == "dana"


def test_the_own_page_gets_no_ticket_for_who_has_no_right_or_comes_from_elsewhere(product: Product, peer: Peer) -> None:
    assert product.submit("/settings/api-keys/tickets")[0] == 403
    product.submit("/sign-in", user="sam")
    assert product.submit("/settings/api-keys/tickets")[0] == 403
    product.submit("/sign-in", user="dana")
    for origin in ({}, {"Origin": "null"}, {"Origin": peer.url}):
        assert product.ask("POST", "/settings/api-keys/tickets", **origin)[0] == 403
    assert product.ask("GET", "/settings/api-keys/tickets")[0] == 404
    assert peer.asked == []


def test_the_own_page_runs_its_own_scripts_alone(product: Product, peer: Peer) -> None:
    product.submit("/sign-in", user="dana")
    _, headers, page = product.ask("GET", "/settings/api-keys")
    policy = headers["content-security-policy"]
    (inline,) = re.findall(r"<script(?![^>]* src)[^>]*>(.*?)</script>", page, re.S)
    digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()

    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert f"connect-src 'self' {peer.url};" in policy
    assert "unsafe" not in policy
    loaded = [*re.findall(r'(?:src|href)="(/assets/[^"]+)"', page), *json.loads(inline)["imports"].values()]
    assert len(loaded) == 6
    for address in loaded:
        status, headers, _ = product.ask("GET", address)
        assert (status, headers["content-type"].split("/")[0]) == (200, "text"), address


@pytest.mark.parametrize(
    "path", ["/assets/../product.py", "/assets/%2e%2e/product.py", "/assets/", "/assets/react/LICENSE"]
)
def test_only_what_the_page_is_made_of_is_served(product: Product, path: str) -> None:
    assert product.ask("GET", path)[0] == 404


def test_a_cookie_of_ones_own_making_signs_nobody_in(product: Product) -> None:
    product.submit("/sign-in", user="sam")
    product.cookie = "product_session=dana"

    assert "Choose who you are" in product.ask("GET", "/settings")[2]


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(product: Product) -> None:
    cookie = product.submit("/sign-in", user="dana")[1]["set-cookie"]

    assert cookie.startswith("product_session=")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Lax")


def test_a_refusal_of_keystead_becomes_a_kind_page(product: Product, peer: Peer) -> None:
    peer.answers["/session/tickets"] = 422, {"message": "<b>No</b>", "code": "unprocessable"}
    product.submit("/sign-in", user="dana")

    status, _, page = product.submit("/keys")

    assert status == 502
    assert "Your keys keep working" in page
    assert "<b>" not in page


def test_localhost_is_sent_to_the_address_that_cookies_live_on(product: Product) -> None:
    status, headers, _ = product.ask("GET", "/settings", Host=f"localhost:{product.port}")

    assert (status, headers["location"]) == (303, f"http://127.0.0.1:{product.port}/settings")


def test_head_gets_the_headers_alone(product: Product) -> None:
    status, headers, body = product.ask("HEAD", "/")

    assert (status, body) == (200, "")
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")


def test_an_allowed_call_is_answered_with_the_limits_and_the_request_id(product: Product, peer: Peer) -> None:
    peer.answers["/v1/authz/check"] = 200, ALLOWED

    status, headers, body = product.call()

    assert (status, body["request_id"], len(body["routes"])) == (200, "req_1", 2)
    assert headers["x-ratelimit-60s-remaining"] == "59"
    assert "x-wacht-key-id" not in headers
    question = peer.asked[0][2]
    assert question["principal"] == {"type": "api_key", "value": KEY}
    assert (question["method"], question["resource"]) == ("GET", "/v2/routes")
    assert (question["client_ip"], question["required_permissions"]) == ("127.0.0.1", ["routes:read"])


def test_a_call_that_writes_needs_the_permission_to_write(product: Product, peer: Peer) -> None:
    peer.answers["/v1/authz/check"] = 200, ALLOWED

    assert product.call("POST")[0] == 200
    assert peer.asked[0][2]["required_permissions"] == ["routes:write"]


REFUSALS = [
    pytest.param(401, {"reason": "invalid_key"}, 401, "invalid_key", id="unknown key"),
    pytest.param(401, {"reason": "key_revoked"}, 401, "key_revoked", id="revoked key"),
    pytest.param(200, {"reason": "permission_denied"}, 403, "permission_denied", id="permission missing"),
    pytest.param(200, {"reason": "rate_limited", "retry_after": 7}, 429, "rate_limited", id="limit reached"),
    pytest.param(200, ALLOWED | {"identity": {"app_slug": "aa_other"}}, 401, "invalid_key", id="key of another app"),
    pytest.param(200, {"allowed": "true"}, 503, "unavailable", id="a yes that is no boolean"),
    pytest.param(503, {}, 503, "unavailable", id="gateway stale"),
    pytest.param(400, {"reason": None}, 503, "unavailable", id="question refused"),
    pytest.param(200, b"<html>", 503, "unavailable", id="no JSON"),
    pytest.param(200, [1], 503, "unavailable", id="no object"),
]


@pytest.mark.parametrize(("asked", "answer", "status", "reason"), REFUSALS)
def test_anything_but_a_clear_yes_is_refused_with_its_reason(
    product: Product, peer: Peer, asked: int, answer: Any, status: int, reason: str
) -> None:
    peer.answers["/v1/authz/check"] = asked, (BLOCKED | answer if isinstance(answer, dict) else answer)

    got, headers, body = product.call()

    assert (got, body["error"]) == (status, reason)
    assert "routes" not in body
    assert headers.get("retry-after") == {429: "7", 503: "5"}.get(status)


def test_no_call_passes_while_the_gateway_is_away(tmp_path: Path) -> None:
    product = Product(tmp_path, "http://127.0.0.1:9")
    product.submit("/sign-in", user="dana")

    status, headers, body = product.call()

    assert (status, body["error"], headers["retry-after"]) == (503, "unavailable", "5")
    assert product.submit("/keys")[0] == 502
    product.stop()


def test_no_key_and_no_ticket_is_ever_logged(product: Product, peer: Peer) -> None:
    peer.answers = {"/v1/authz/check": (200, ALLOWED), "/session/tickets": (200, TICKET)}
    product.submit("/sign-in", user="dana")
    product.submit("/keys")
    product.call()
    for path in (f"/v2/routes?key={KEY}", f"/{KEY}"):
        product.ask("GET", path, Authorization=f"Bearer {KEY}")
    product.ask("BREW", f"/{KEY}")

    log = product.stop()

    for secret in (KEY, BACKEND_KEY, "kst_x"):
        assert secret not in log
