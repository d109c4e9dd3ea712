"""A call passes on a clear yes alone: everything else is a no, and so is no answer."""

import logging
import socket
from typing import Any

import pytest
from keystead_client import (
    Decision,
    Invalid,
    KeysteadError,
    NotAllowed,
    NotAuthenticated,
    NotConfigured,
    Question,
    Unavailable,
    UnclearAnswer,
)

from tests.clients.python.conftest import ALLOWED, BLOCKED, BRIEF, DROP, HANG, KEY, PATIENT, Ask, Peer

CALL: dict[str, Any] = {"method": "GET", "resource": "/v2/routes"}


def check(ask: Ask, **client: Any) -> Decision:
    decision: Decision = ask("check", KEY, **CALL, client=client)
    return decision


def test_a_clear_yes_is_read_whole(ask: Ask, peer: Peer) -> None:
    decision = check(ask, app_slug="aa_1", deployment_id="1")

    assert decision.allowed is True
    assert decision.recorded is True
    assert (decision.request_id, decision.identity.key_name) == ("req_1", "ci")  # type: ignore[union-attr]  # a yes has one
    assert (decision.permissions, decision.rate_limits[0].remaining) == (("routes:read",), 59)


def test_the_question_says_what_was_asked_and_no_more(ask: Ask, peer: Peer) -> None:
    long = "x" * 600
    ask("check", KEY + long, **CALL, required_permissions=["routes:read"], client_ip="203.0.113.9", user_agent=long)

    (asked,) = peer.asked
    assert (asked.method, asked.path) == ("POST", "/v1/authz/check")
    assert asked.body == {
        "principal": {"type": "api_key", "value": (KEY + long)[:512]},
        "resource": "/v2/routes",
        "method": "GET",
        "client_ip": "203.0.113.9",
        "user_agent": long[:500],
        "required_permissions": ["routes:read"],
    }
    assert "authorization" not in asked.headers


def test_a_caller_without_a_user_agent_is_not_taken_for_this_client(ask: Ask, peer: Peer) -> None:
    ask("check", KEY, **CALL)

    assert peer.asked[0].body["user_agent"] == "unknown"


def test_one_permission_alone_is_not_taken_for_its_letters(ask: Ask, peer: Peer) -> None:
    ask("check", KEY, **CALL, required_permissions="routes:read")

    assert peer.asked[0].body["required_permissions"] == ["routes:read"]


def test_a_gateway_that_asks_who_calls_is_told(ask: Ask, peer: Peer) -> None:
    check(ask, gateway_key="ksb_gateway")

    assert peer.asked[0].headers["authorization"] == "Bearer ksb_gateway"


@pytest.mark.parametrize(
    ("status", "answer", "reason"),
    [
        (401, {"reason": "invalid_key", "identity": None}, "invalid_key"),
        (401, {"reason": "key_revoked"}, "key_revoked"),
        (200, {"reason": "permission_denied"}, "permission_denied"),
        (200, {"reason": "rate_limited", "retry_after": 7}, "rate_limited"),
    ],
)
def test_a_blocked_call_is_a_decision_with_its_reason(
    ask: Ask, peer: Peer, status: int, answer: dict[str, Any], reason: str
) -> None:
    peer.will_answer((status, BLOCKED | answer))

    decision = check(ask, app_slug="aa_1")

    assert (decision.allowed, decision.status, decision.reason) == (False, status, reason)
    assert decision.retry_after == answer.get("retry_after")


@pytest.mark.parametrize("client", [{"app_slug": "aa_2"}, {"deployment_id": "2"}])
def test_a_good_key_of_another_app_is_no_key_of_ours(ask: Ask, peer: Peer, client: dict[str, str]) -> None:
    decision = check(ask, **client)

    assert (decision.allowed, decision.status, decision.reason) == (False, 401, "invalid_key")
    assert (decision.identity, decision.rate_limit_fields, decision.permissions) == (None, {}, ())


def test_a_revoked_key_of_another_app_shows_nothing_of_it(ask: Ask, peer: Peer) -> None:
    peer.will_answer((401, BLOCKED | {"reason": "key_revoked", "rule": "key_revoked"}))

    decision = check(ask, app_slug="aa_2")

    assert (decision.reason, decision.rule, decision.identity) == ("invalid_key", "invalid_key", None)


UNCLEAR = [
    pytest.param((200, ALLOWED | {"allowed": "true"}), id="a yes that is text"),
    pytest.param((200, ALLOWED | {"allowed": 1}), id="a yes that is a number"),
    pytest.param((200, ALLOWED | {"allowed": None}), id="null"),
    pytest.param((200, {}), id="an empty object"),
    pytest.param((200, [ALLOWED]), id="a list"),
    pytest.param((200, b""), id="nothing at all"),
    pytest.param((200, b"<html>yes</html>"), id="a page"),
    pytest.param((200, b"[" * 100_000), id="a nest"),
    pytest.param((200, ALLOWED | {"identity": "aa_1"}), id="an identity that is text"),
    pytest.param((200, ALLOWED | {"rate_limits": [{"rule": 1}]}), id="limits of another shape"),
    pytest.param((200, ALLOWED | {"retry_after": True}), id="a number that is a boolean"),
    pytest.param((200, BLOCKED), id="a no without a reason"),
    pytest.param((201, ALLOWED), id="created"),
    pytest.param((401, ALLOWED | {"reason": "?"}), id="yes at 401"),
    pytest.param((302, ALLOWED, {"Location": "/v1/authz/check"}), id="a redirect"),
    pytest.param((307, ALLOWED, {"Location": "/v1/authz/check"}), id="a redirect that keeps the method"),
    pytest.param((500, ALLOWED), id="a failure"),
    pytest.param((404, b"<html>"), id="somebody else's page"),
    pytest.param((200, b" " * 70_000 + b"{}"), id="too long"),
]


@pytest.mark.parametrize("answer", UNCLEAR)
@pytest.mark.parametrize("on_unavailable", ["deny", "allow"])
def test_an_unclear_answer_is_never_a_yes(ask: Ask, peer: Peer, answer: Any, on_unavailable: str) -> None:
    peer.will_answer(answer)

    with pytest.raises(UnclearAnswer):
        check(ask, app_slug="aa_1", on_unavailable=on_unavailable)

    assert len(peer.asked) == 1


AWAY = [
    pytest.param(DROP, id="dropped"),
    pytest.param(HANG, id="never answers"),
    pytest.param((502, b"<html>"), id="a proxy without a gateway"),
    pytest.param((503, {"allowed": False, "code": "stale", "request_id": "req_9"}, {"Retry-After": "3"}), id="stale"),
    pytest.param((504, b""), id="a proxy that waited"),
]


@pytest.mark.parametrize("answer", AWAY)
def test_no_answer_raises_and_is_not_asked_again(ask: Ask, peer: Peer, answer: Any) -> None:
    peer.will_answer(answer)

    with pytest.raises(Unavailable) as raised:
        check(ask, check_timeout_seconds=BRIEF if answer == HANG else PATIENT)

    assert len(peer.asked) == 1, "an answer that got lost may have used up a limit"
    assert raised.value.status in (502, 503, 504)


def test_a_gateway_that_cannot_decide_says_when_to_come_back(ask: Ask, peer: Peer) -> None:
    peer.will_answer((503, {"allowed": False, "code": "stale", "request_id": "req_9"}, {"Retry-After": "3"}))

    with pytest.raises(Unavailable) as raised:
        check(ask)

    assert (raised.value.code, raised.value.request_id, raised.value.retry_after) == ("stale", "req_9", 3)


def test_a_refused_connection_raises(ask: Ask, unused_port: int) -> None:
    with pytest.raises(Unavailable):
        check(ask, gateway_url=f"http://127.0.0.1:{unused_port}")


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.mark.parametrize("answer", AWAY)
def test_failing_open_says_so_and_is_logged_without_the_key(
    ask: Ask, peer: Peer, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    peer.will_answer(answer)

    with caplog.at_level(logging.WARNING, "keystead_client"):
        seconds = BRIEF if answer == HANG else PATIENT
        decision = check(ask, on_unavailable="allow", check_timeout_seconds=seconds)

    assert (decision.allowed, decision.recorded, decision.rule, decision.identity) == (True, False, None, None)
    assert "unchecked" in caplog.text
    assert KEY not in caplog.text


def test_a_clear_no_stays_one_when_failing_open(ask: Ask, peer: Peer) -> None:
    peer.will_answer((401, BLOCKED | {"reason": "key_revoked"}))

    assert check(ask, on_unavailable="allow").allowed is False


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"allowed": False, "code": "invalid", "errors": [{"field": "method"}]}, Invalid),
        (401, {"allowed": False, "reason": None, "code": "caller_unknown", "message": "Who asks?"}, NotAuthenticated),
        (403, {"allowed": False, "code": "caller_not_allowed"}, NotAllowed),
    ],
)
def test_a_question_that_the_gateway_refuses_is_an_error(
    ask: Ask, peer: Peer, status: int, body: dict[str, Any], kind: type[KeysteadError]
) -> None:
    peer.will_answer((status, body))

    with pytest.raises(kind) as raised:
        check(ask, on_unavailable="allow")

    assert (raised.value.status, raised.value.code) == (status, body["code"])


def test_a_client_without_a_gateway_says_what_it_needs(ask: Ask) -> None:
    with pytest.raises(NotConfigured, match="gateway_url"):
        check(ask, gateway_url=None)


QUESTIONS = [Question(KEY, "GET", "/a"), Question(KEY, "POST", "/b", ["routes:write"])]


def test_a_batch_has_a_decision_for_each_call_in_order(ask: Ask, peer: Peer) -> None:
    denied = BLOCKED | {"reason": "permission_denied", "status": 200}
    revoked = BLOCKED | {"reason": "key_revoked", "status": 401}
    peer.will_answer((200, {"decisions": [ALLOWED | {"status": 200}, denied, revoked]}))

    decisions = ask("check_batch", [*QUESTIONS, QUESTIONS[0]], client={"app_slug": "aa_1"})

    assert [(each.allowed, each.status, each.reason) for each in decisions] == [
        (True, 200, None),
        (False, 200, "permission_denied"),
        (False, 401, "key_revoked"),
    ]
    assert peer.asked[0].path == "/v1/authz/check-batch"
    assert [each["resource"] for each in peer.asked[0].body["checks"]] == ["/a", "/b", "/a"]


@pytest.mark.parametrize(
    "decisions",
    [
        pytest.param(None, id="none"),
        pytest.param([ALLOWED | {"status": 200}], id="too few"),
        pytest.param([ALLOWED, ALLOWED], id="without status"),
        pytest.param([ALLOWED | {"status": 200}, ALLOWED | {"status": 503}], id="a yes at 503"),
        pytest.param([ALLOWED | {"status": 200}, "yes"], id="a text"),
    ],
)
def test_a_batch_that_is_not_clear_in_each_part_lets_nothing_through(ask: Ask, peer: Peer, decisions: Any) -> None:
    peer.will_answer((200, {"decisions": decisions}))

    with pytest.raises(UnclearAnswer):
        ask("check_batch", QUESTIONS)


def test_a_batch_without_an_answer_fails_as_a_check_does(ask: Ask, peer: Peer) -> None:
    peer.always = (503, {"code": "stale"})

    with pytest.raises(Unavailable):
        ask("check_batch", QUESTIONS)
    decisions = ask("check_batch", QUESTIONS, client={"on_unavailable": "allow"})
    assert [(each.allowed, each.recorded) for each in decisions] == [(True, False)] * 2
