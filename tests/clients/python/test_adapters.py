"""Every adapter answers alike: the work on a clear yes, else the refusal that says why."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.clients.python.conftest import ALLOWED, BLOCKED, DROP, KEY, PATIENT, Peer
from tests.clients.python.products import PRODUCTS, Answer, Call

Make = Callable[..., Call]
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture(params=sorted(PRODUCTS))
def product(request: pytest.FixtureRequest, peer: Peer) -> Iterator[Make]:
    """Make a product that asks the peer."""
    with ExitStack() as stack:

        def make(**options: Any) -> Call:
            options = {"gateway_url": peer.url, "app_slug": "aa_1", "check_timeout_seconds": PATIENT, **options}
            return stack.enter_context(PRODUCTS[request.param](options))

        yield make


def test_a_clear_yes_does_the_work_and_passes_the_limits_on(product: Make, peer: Peer) -> None:
    answer = product()("GET", {**BEARER, "User-Agent": "x/1", "X-Forwarded-For": "198.51.100.1"})

    assert (answer.status, answer.body) == (200, {"key": "ci"})
    assert answer.headers["ratelimit"] == '"60/60s";r=59;t=37'
    assert answer.headers["ratelimit-policy"] == '"60/60s";q=60;w=60'
    assert answer.headers["x-ratelimit-60s-remaining"] == "59"
    assert "x-wacht-key-id" not in answer.headers
    (asked,) = peer.asked
    assert asked.body["principal"]["value"] == KEY
    assert (asked.body["method"], asked.body["resource"][-7:]) == ("GET", "/routes")
    assert asked.body["required_permissions"] == ["routes:read"]
    assert (asked.body["client_ip"], asked.body["user_agent"]) == ("127.0.0.1", "x/1")


def test_each_route_asks_for_its_own_permission(product: Make, peer: Peer) -> None:
    assert product()("POST", BEARER).status == 200
    assert peer.asked[0].body["required_permissions"] == ["routes:write"]


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": KEY},
        {"Authorization": f"bearer {KEY}"},
        {"Authorization": f"BEARER {KEY}", "X-API-Key": KEY},
        {"Authorization": "Basic eDp5", "X-API-Key": KEY},
    ],
)
def test_the_key_is_read_from_either_header(product: Make, peer: Peer, headers: dict[str, str]) -> None:
    assert product()("GET", headers).status == 200
    assert peer.asked[0].body["principal"]["value"] == KEY


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "key_missing"),
        ({"Authorization": "Bearer"}, "key_missing"),
        ({"Authorization": "Basic eDp5"}, "key_missing"),
        ({"X-API-Key": ""}, "key_missing"),
        ({**BEARER, "X-API-Key": "another"}, "key_ambiguous"),
    ],
)
def test_no_key_and_two_keys_are_refused_without_asking(
    product: Make, peer: Peer, headers: dict[str, str], code: str
) -> None:
    answer = product()("GET", headers)

    assert (answer.status, answer.body["error"], answer.headers["www-authenticate"]) == (401, code, "Bearer")
    assert peer.asked == []


LIMITED = {"ratelimit": '"60/60s";r=0;t=7', "x-ratelimit-60s-reset": "7", "x-wacht-key-name": "ci"}
USED_UP = BLOCKED | {"reason": "rate_limited", "retry_after": 7, "headers": LIMITED}
REFUSALS = [
    pytest.param((401, BLOCKED | {"reason": "key_revoked", "message": "Revoked."}), 401, "key_revoked", id="revoked"),
    pytest.param((200, BLOCKED | {"reason": "permission_denied"}), 403, "permission_denied", id="permission"),
    pytest.param(
        (200, BLOCKED | {"reason": "rate_limited", "retry_after": 7, "headers": LIMITED}), 429, "rate_limited"
    ),
    pytest.param((200, ALLOWED | {"identity": {"app_slug": "aa_2"}}), 401, "invalid_key", id="another app's key"),
]


@pytest.mark.parametrize(("answer", "status", "error"), REFUSALS)
def test_a_blocked_call_is_refused_with_its_reason_and_its_request_id(
    product: Make, peer: Peer, answer: Any, status: int, error: str
) -> None:
    peer.will_answer(answer)

    found = product()("GET", BEARER)

    assert (found.status, found.body["error"], found.body["request_id"]) == (status, error, "req_1")
    assert found.headers.get("www-authenticate") == {401: "Bearer"}.get(status)
    assert found.headers.get("retry-after") == {429: "7"}.get(status)
    assert found.headers.get("ratelimit") == {429: '"60/60s";r=0;t=7'}.get(status)
    assert "x-wacht-key-name" not in found.headers


AWAY = [
    pytest.param(DROP, id="dropped"),
    pytest.param((503, {"allowed": False, "code": "stale"}), id="stale"),
    pytest.param((500, b"<html>"), id="failed"),
    pytest.param((200, b""), id="empty"),
    pytest.param((200, ALLOWED | {"allowed": "true"}), id="a yes that is text"),
    pytest.param((302, b"", {"Location": "/"}), id="a redirect"),
    pytest.param((403, {"code": "caller_not_allowed", "message": "No."}), id="the product is refused"),
    pytest.param((400, {"code": "invalid", "errors": [{"field": "required_permissions"}]}), id="the product's mistake"),
]


@pytest.mark.parametrize("answer", AWAY)
def test_without_a_decision_the_answer_is_503_and_never_the_work(product: Make, peer: Peer, answer: Any) -> None:
    peer.will_answer(answer)

    found = product()("GET", BEARER)

    assert (found.status, found.body["error"], found.headers["retry-after"]) == (503, "unavailable", "5")
    assert "key" not in found.body


def test_failing_open_is_possible_and_has_to_be_said(product: Make, peer: Peer) -> None:
    peer.always = (503, {"code": "stale"})

    assert product(on_unavailable="allow")("GET", BEARER).body == {"key": None}
    assert product(on_unavailable="allow")("GET").status == 401


@pytest.mark.parametrize("field", ["method", "resource"])
def test_a_call_that_makes_no_sense_is_the_callers_fault(product: Make, peer: Peer, field: str) -> None:
    peer.will_answer((400, {"message": "No.", "request_id": "req_3", "errors": [{"field": field}]}))

    answer = product()("GET", BEARER)

    assert (answer.status, answer.body) == (
        400,
        {"error": "invalid_request", "message": "No.", "request_id": "req_3"},
    )


def test_a_header_of_the_gateway_cannot_break_out(product: Make, peer: Peer) -> None:
    headers = {
        "ratelimit": "x\r\nSet-Cookie: a=b",
        "x-ratelimit-60s-limit": "ü",
        "x-ratelimit-1s-limit": 5,
        "set-cookie": "a=b",
    }
    peer.will_answer((200, ALLOWED | {"headers": headers}))

    answer = product()("GET", BEARER)

    assert answer.status == 200
    assert not [name for name in answer.headers if "ratelimit" in name or "cookie" in name]


def test_no_log_of_a_refusal_holds_the_key(product: Make, peer: Peer, caplog: pytest.LogCaptureFixture) -> None:
    peer.always = (500, b"<html>")
    with caplog.at_level("DEBUG"):
        assert isinstance(product()("GET", BEARER), Answer)
        peer.always = DROP
        product()("GET", BEARER)

    assert "could not be checked" in caplog.text
    assert KEY not in caplog.text
