"""Sessions of pages on another site than ours: a cookie of its own, for deployments that embed alone."""

from collections.abc import Callable

import pytest
from django.test import Client

from apiauth.models import App, Deployment
from apiauth.services.sessions import OpenedSession
from apiauth.services.tickets import IssuedTicket

ORIGIN = "https://app.northwind.example"
FETCH = {"Origin": ORIGIN, "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def deployment(make_deployment: Callable[..., Deployment], request: pytest.FixtureRequest) -> Deployment:
    return make_deployment(origins=(ORIGIN,), is_embedded=getattr(request, "param", True))


def exchange(ticket: IssuedTicket, site: str) -> Client:
    client = Client(headers={**FETCH, "Sec-Fetch-Site": site})
    assert client.post("/session/ticket/exchange", f"ticket={ticket.text}", content_type=FORM).status_code == 200
    return client


def test_a_page_of_another_site_gets_a_cookie_that_its_browser_keeps(make_ticket: Callable[..., IssuedTicket]) -> None:
    client = exchange(make_ticket(), "cross-site")
    assert list(client.cookies) == ["__Host-ks_embed"]
    written = client.cookies["__Host-ks_embed"].OutputString()
    for part in ("HttpOnly", "Path=/", "SameSite=None", "Secure", "Partitioned"):
        assert part in written.split("; ")
    assert "Domain" not in written
    assert client.get("/api-auth/session").status_code == 200


@pytest.mark.parametrize(
    ("deployment", "site"), [(True, "same-site"), (True, "same-origin"), (False, "cross-site")], indirect=["deployment"]
)
def test_every_other_page_gets_the_cookie_of_one_site(
    deployment: Deployment, make_ticket: Callable[..., IssuedTicket], site: str
) -> None:
    client = exchange(make_ticket(), site)
    assert list(client.cookies) == ["ks_session"]
    assert "SameSite=Lax" in client.cookies["ks_session"].OutputString()


@pytest.mark.parametrize("deployment", [False], indirect=True)
def test_the_embedding_cookie_opens_nothing_where_a_deployment_does_not_embed(
    deployment: Deployment, session_for: Callable[..., OpenedSession]
) -> None:
    client = Client(headers=FETCH)
    client.cookies["__Host-ks_embed"] = session_for().token
    assert client.get("/api-auth/session").status_code == 401


def test_the_portal_takes_no_embedding_cookie(session_for: Callable[..., OpenedSession]) -> None:
    client = Client()
    client.cookies["__Host-ks_embed"] = session_for().token
    assert client.get("/portal/").status_code == 303


@pytest.mark.parametrize("origin", ["https://evil.example", f"{ORIGIN}.evil.example", "null", None])
def test_the_embedding_cookie_changes_nothing_for_a_page_that_is_not_listed(
    app: App, session_for: Callable[..., OpenedSession], origin: str | None
) -> None:
    client = Client(headers={"Origin": origin} if origin else {})
    client.cookies["__Host-ks_embed"] = session_for().token
    response = client.post("/api-auth/keys", "name=x", content_type=FORM)
    assert (response.status_code, response.json()["code"]) == (403, "origin_not_allowed")


def test_signing_out_takes_the_embedding_cookie_back_as_it_was_given(session_for: Callable[..., OpenedSession]) -> None:
    client = Client(headers=FETCH)
    client.cookies["__Host-ks_embed"] = session_for().token
    response = client.delete("/api-auth/session")
    assert response.status_code == 200
    assert list(response.cookies) == ["__Host-ks_embed"]
    taken = response.cookies["__Host-ks_embed"].OutputString()
    assert "Max-Age=0" in taken
    assert "Partitioned" in taken
