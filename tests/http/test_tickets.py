"""Tickets of the backend API, by outcome."""

import time
from collections.abc import Callable

import pytest
from django.test import Client

from apiauth.models import App, Session, Ticket
from apiauth.services import apps

JSON = "application/json"
WANTED = {"ticket_type": "api_auth_access", "api_auth_app_slug": "aa_1"}


def test_200_with_the_ticket_its_end_in_seconds_and_its_link(backend: Client, app: App) -> None:
    response = backend.post("/session/tickets", {**WANTED, "expires_in": 120}, content_type=JSON)
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {"ticket", "expires_at", "url"}
    assert answer["ticket"].startswith("kst_")
    assert isinstance(answer["expires_at"], int)
    assert 100 < answer["expires_at"] - time.time() <= 120
    assert answer["url"].endswith(f"/vanity/api-auth?ticket={answer['ticket']}")


def test_the_session_has_what_the_ticket_was_issued_with(backend: Client, app: App) -> None:
    body = {
        **WANTED,
        "subject": {"id": 42, "name": "Dana Okafor", "email": "dana@example.com"},
        "role": "member",
        "permissions": ["routes:read"],
        "longest_expiry_days": 30,
        "key_cap": 5,
        "metadata": {"team": "blue"},
        "theme": "dark",
        "user_id": "ignored",
        "actor_id": "ignored",
        "locale": "en",
    }
    ticket = backend.post("/session/tickets", body, content_type=JSON).json()["ticket"]
    Client(headers={"Accept": JSON}).get("/session/ticket/exchange", {"ticket": ticket})
    session = Session.objects.get()
    assert (session.subject_id, session.subject_name, session.role) == ("42", "Dana Okafor", "member")
    assert (session.permissions, session.longest_expiry_days, session.key_cap) == (["routes:read"], 30, 5)
    assert (session.metadata, session.theme) == ({"team": "blue"}, "dark")


def test_fields_of_other_kinds_of_tickets_are_ignored(backend: Client, app: App) -> None:
    others = {"agent_ids": ["1"], "actor_id": "<b>" * 2_000, "user_id": {"id": 1}, "webhook_app_slug": "x"}
    assert backend.post("/session/tickets", {**WANTED, **others}, content_type=JSON).status_code == 200
    ticket = Ticket.objects.get()
    assert (ticket.app_id, ticket.subject_id, ticket.metadata) == (app.id, "", {})


def test_a_ticket_of_a_paused_app_is_issued_for_its_pages_can_still_be_read(
    backend: Client, make_app: Callable[..., App]
) -> None:
    make_app("aa_1", is_active=False)
    assert backend.post("/session/tickets", WANTED, content_type=JSON).status_code == 200


# What one field alone refuses is tried in `test_values.py`; here, what depends on the installation and the deployment.
BAD_TICKETS: dict[str, tuple[dict[str, object], int, str]] = {
    "agents alone": ({"ticket_type": "agent_access", "agent_ids": ["1"]}, 400, "ticket_type"),
    "life of 0": ({"expires_in": 0}, 400, "expires_in"),
    "life of 301 seconds": ({"expires_in": 301}, 422, "expires_in"),
    "life of ages": ({"expires_in": 10**12}, 422, "expires_in"),
    "return link elsewhere": ({"return_url": "https://evil.example/"}, 422, "return_url"),
    "return link to our own host's other port": ({"return_url": "http://127.0.0.1:9001/"}, 422, "return_url"),
    "return link that only starts like one of ours": ({"return_url": "http://127.0.0.1:9000.evil/"}, 422, "return_url"),
    "return link with a user before a host": ({"return_url": "http://127.0.0.1:9000@evil.example/"}, 422, "return_url"),
}


@pytest.mark.parametrize(("change", "status", "field"), BAD_TICKETS.values(), ids=BAD_TICKETS)
def test_4xx_that_names_the_field(
    backend: Client, app: App, change: dict[str, object], status: int, field: str
) -> None:
    response = backend.post("/session/tickets", {**WANTED, **change}, content_type=JSON)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (status, field), response.content
    assert not Ticket.objects.exists()


@pytest.mark.parametrize(
    ("field", "sentence"),
    [("organization_id", "Enter an organization id."), ("workspace_id", "Enter a workspace id.")],
)
def test_400_for_a_place_without_an_id(backend: Client, app: App, field: str, sentence: str) -> None:
    response = backend.post("/session/tickets", {**WANTED, field: " "}, content_type=JSON)
    assert (response.status_code, response.json()["message"]) == (400, sentence)


def test_404_for_an_unknown_a_foreign_and_a_deleted_app_alike(
    backend: Client,
    app: App,
    make_app: Callable[..., App],
    make_deployment: Callable[..., object],
    actor: object,
    now: object,
) -> None:
    make_app("aa_foreign", in_deployment=make_deployment("Other"))
    make_app("aa_deleted")
    apps.delete_app(deployment_id=app.deployment_id, slug="aa_deleted", actor=actor, now=now)
    answers = [
        backend.post(
            "/session/tickets",
            {**WANTED, "api_auth_app_slug": slug},
            content_type=JSON,
            headers={"X-Request-Id": "same"},
        )
        for slug in ("aa_none", "aa_foreign", "aa_deleted", "AA 1", "../aa_1")
    ]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
