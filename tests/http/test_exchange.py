"""The exchange of a ticket, by outcome: what uses it up, and what never does."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import Client

from apiauth.core import clock
from apiauth.models import App, Deployment, Session, Ticket
from apiauth.services import apps
from apiauth.services.tickets import IssuedTicket

EXCHANGE = "/session/ticket/exchange"
ORIGIN = "http://127.0.0.1:9000"
FETCH = {"Origin": ORIGIN, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-site"}


def is_unused(ticket: IssuedTicket) -> bool:
    return Ticket.objects.get(pk=ticket.row.pk).used_at is None and not Session.objects.exists()


def test_200_with_the_session_and_its_cookie(make_ticket: Callable[..., IssuedTicket], app: App) -> None:
    response = Client(headers=FETCH).get(EXCHANGE, {"ticket": make_ticket().text})
    assert response.status_code == 200
    body = response.json()
    assert {name: body[name] for name in ("status", "message", "session", "errors")} == {
        "status": 200,
        "message": "",
        "session": None,
        "errors": None,
    }
    data = body["data"]
    assert data["success"] is True
    assert data["session_id"] == str(Session.objects.get().id)
    assert data["api_auth_app"]["app_slug"] == app.slug
    cookie = response.cookies["ks_session"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["max-age"]) == (True, "Lax", "/", "")
    assert cookie.value not in response.content.decode()
    assert response["Cache-Control"] == "no-store, private"
    assert response["Access-Control-Allow-Origin"] == ORIGIN
    assert response["Access-Control-Allow-Credentials"] == "true"


WAYS_IN = {
    "a page's fetch": FETCH,
    "a fetch of the same origin": {"Sec-Fetch-Mode": "same-origin", "Sec-Fetch-Dest": "empty"},
    "an old browser's fetch": {"Origin": ORIGIN},
    "a program that asks for JSON": {"Accept": "application/json"},
}


@pytest.mark.parametrize("headers", WAYS_IN.values(), ids=WAYS_IN)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_200_for(make_ticket: Callable[..., IssuedTicket], headers: dict[str, str], method: str) -> None:
    ticket = make_ticket()
    ask = Client(headers=headers).get if method == "GET" else Client(headers=headers).post
    assert ask(EXCHANGE, {"ticket": ticket.text}).status_code == 200
    assert not is_unused(ticket)


NOT_FETCHES = {
    "navigation": {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"},
    "frame": {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    "image": {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    "script": {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "script", "Origin": ORIGIN},
    "half a set of headers": {"Sec-Fetch-Site": "same-origin", "Accept": "application/json"},
    "prefetch": {**FETCH, "Sec-Purpose": "prefetch"},
    "prerender": {**FETCH, "Sec-Purpose": "prefetch;prerender"},
    "old prefetch": {"Purpose": "prefetch", "Accept": "application/json"},
    "older prefetch": {"X-Moz": "prefetch", "Accept": "application/json"},
    "link preview": {"User-Agent": "Slackbot-LinkExpanding 1.0", "Accept": "text/html,application/json"},
    "anything": {"Accept": "*/*"},
    "no headers": {},
    "origin null": {**FETCH, "Origin": "null"},
    "origin that nobody lists": {**FETCH, "Origin": "https://evil.example"},
    "origin with another port": {**FETCH, "Origin": "http://127.0.0.1:9001"},
    "origin with a trailing dot": {**FETCH, "Origin": "http://127.0.0.1.:9000"},
    "origin as a prefix": {**FETCH, "Origin": f"{ORIGIN}.evil.example"},
    "origin unlisted, JSON wanted": {"Origin": "https://evil.example", "Accept": "application/json"},
}


@pytest.mark.parametrize("headers", NOT_FETCHES.values(), ids=NOT_FETCHES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_403_and_the_ticket_is_not_used_up_by(
    make_ticket: Callable[..., IssuedTicket], headers: dict[str, str], method: str
) -> None:
    ticket = make_ticket()
    ask = Client(headers=headers).get if method == "GET" else Client(headers=headers).post
    response = ask(EXCHANGE, {"ticket": ticket.text})
    assert response.status_code == 403
    assert isinstance(response.json()["errors"][0]["code"], str)
    assert not response.cookies
    assert is_unused(ticket)


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE", "PATCH", "TRACE"])
def test_405_and_the_ticket_is_not_used_up_by(make_ticket: Callable[..., IssuedTicket], method: str) -> None:
    ticket = make_ticket()
    response = Client(headers=FETCH).generic(method, f"{EXCHANGE}?ticket={ticket.text}")
    assert response.status_code == 405
    assert is_unused(ticket)


@pytest.mark.parametrize("headers", [{}, {"Origin": ORIGIN}, {"Origin": "https://evil.example"}])
def test_a_preflight_uses_nothing_up(make_ticket: Callable[..., IssuedTicket], headers: dict[str, str]) -> None:
    ticket = make_ticket()
    response = Client(headers=headers).options(f"{EXCHANGE}?ticket={ticket.text}")
    assert response.status_code == 204
    assert not response.has_header("Allow")  # what one address takes is its 405's to say
    assert response.has_header("Access-Control-Allow-Origin") == (headers.get("Origin") == ORIGIN)
    assert is_unused(ticket)


def test_401_for_another_deployments_page_and_the_ticket_is_not_used_up(
    make_ticket: Callable[..., IssuedTicket], make_deployment: Callable[..., Deployment]
) -> None:
    make_deployment("Other", origins=("https://other.example",))
    ticket = make_ticket()
    response = Client(headers={**FETCH, "Origin": "https://other.example"}).get(EXCHANGE, {"ticket": ticket.text})
    assert response.status_code == 401
    assert is_unused(ticket)


def test_unknown_used_expired_and_deleted_are_one_answer(
    make_ticket: Callable[..., IssuedTicket], make_app: Callable[..., App], actor: object
) -> None:
    now = clock.now()
    used, expired = make_ticket(), make_ticket(issued_at=now - timedelta(hours=1))
    closed = make_app("aa_closed")
    orphan = make_ticket(for_app=closed)
    apps.delete_app(deployment_id=closed.deployment_id, slug=closed.slug, actor=actor, now=now)
    client = Client(headers={**FETCH, "X-Request-Id": "same"})
    assert Client(headers=FETCH).get(EXCHANGE, {"ticket": used.text}).status_code == 200
    unknown = "kst_" + "0" * 49
    texts = [used.text, expired.text, orphan.text, unknown, "junk", "kst_", used.text + "\n", f" {used.text}", "\ufeff"]
    answers = [client.get(EXCHANGE, {"ticket": text}) for text in texts]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["errors"][0]["code"] == "ticket_refused"


BAD_QUERIES = {
    "no ticket": "",
    "empty ticket": "ticket=",
    "ticket twice": "ticket=a&ticket=b",
    "ticket with NUL": "ticket=%00",
    "verifier twice": "ticket=a&code_verifier=b&code_verifier=c",
}


@pytest.mark.django_db
@pytest.mark.parametrize("query", BAD_QUERIES.values(), ids=BAD_QUERIES)
def test_400_for(query: str) -> None:
    assert Client(headers=FETCH).get(f"{EXCHANGE}?{query}").status_code == 400


def test_400_for_a_ticket_in_query_and_body(make_ticket: Callable[..., IssuedTicket]) -> None:
    first, second = make_ticket(), make_ticket()
    response = Client(headers=FETCH).post(f"{EXCHANGE}?ticket={first.text}", {"ticket": second.text})
    assert response.status_code == 400
    assert is_unused(first)
    assert is_unused(second)


def test_401_for_a_wrong_verifier_and_the_ticket_is_not_used_up(make_ticket: Callable[..., IssuedTicket]) -> None:
    ticket = make_ticket(code_challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
    client = Client(headers=FETCH)
    assert client.get(EXCHANGE, {"ticket": ticket.text}).status_code == 401
    assert client.get(EXCHANGE, {"ticket": ticket.text, "code_verifier": "wrong"}).status_code == 401
    assert is_unused(ticket)
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # of RFC 7636, appendix B
    assert client.get(EXCHANGE, {"ticket": ticket.text, "code_verifier": verifier}).status_code == 200


def test_the_session_held_before_ends(make_ticket: Callable[..., IssuedTicket]) -> None:
    client = Client(headers=FETCH)
    client.get(EXCHANGE, {"ticket": make_ticket().text})
    before = client.cookies["ks_session"].value
    client.get(EXCHANGE, {"ticket": make_ticket().text})
    assert client.cookies["ks_session"].value != before
    assert [row.ended_reason for row in Session.objects.order_by("id")] == ["replaced", ""]
    replay = Client(headers=FETCH)
    replay.cookies["ks_session"] = before
    assert replay.get("/api-auth/session").status_code == 401


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["", "&app_slug=aa_2", "&api_auth_app_slug=aa_2&app_id=1&role=owner"])
def test_the_session_is_of_the_tickets_app_whatever_else_is_named(
    make_ticket: Callable[..., IssuedTicket], make_app: Callable[..., App], app: App, query: str
) -> None:
    make_app("aa_2")
    response = Client(headers=FETCH).get(f"{EXCHANGE}?ticket={make_ticket(role='viewer').text}{query}")
    assert response.json()["data"]["api_auth_app"]["app_slug"] == app.slug
    assert Session.objects.get().role == "viewer"


@pytest.mark.django_db(transaction=True)
def test_a_ticket_is_unknown_until_its_issue_is_committed(make_ticket: Callable[..., IssuedTicket], app: App) -> None:
    client = Client(headers=FETCH)
    with ThreadPoolExecutor(1) as elsewhere, transaction.atomic():
        text = make_ticket().text

        def exchange() -> int:
            try:
                return client.get(EXCHANGE, {"ticket": text}).status_code
            finally:
                connection.close()

        assert elsewhere.submit(exchange).result(20) == 401
    assert client.get(EXCHANGE, {"ticket": text}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_of_twelve_exchanges_at_once_one_wins(make_ticket: Callable[..., IssuedTicket]) -> None:
    ticket = make_ticket()
    barrier = threading.Barrier(12)

    def exchange(_: int) -> int:
        client = Client(headers=FETCH)
        barrier.wait(timeout=20)
        try:
            return client.get(EXCHANGE, {"ticket": ticket.text}).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(12) as pool:
        statuses = sorted(pool.map(exchange, range(12)))
    assert statuses == [200] + [401] * 11
    assert Session.objects.count() == 1
