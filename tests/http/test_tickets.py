"""Tickets of the backend API, by outcome."""

import time
from collections.abc import Callable

import pytest
from django.test import Client

from apiauth.models import App, Session, Ticket
from apiauth.services import apps, deployments

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


BAD_TICKETS: dict[str, tuple[dict[str, object], int, str]] = {
    "no slug": ({"api_auth_app_slug": ...}, 400, "api_auth_app_slug"),
    "empty slug": ({"api_auth_app_slug": ""}, 400, "api_auth_app_slug"),
    "no type": ({"ticket_type": ...}, 400, "ticket_type"),
    "type in upper case": ({"ticket_type": "API_AUTH_ACCESS"}, 400, "ticket_type"),
    "impersonation": ({"ticket_type": "impersonation"}, 400, "ticket_type"),
    "agent access": ({"ticket_type": "agent_access", "agent_ids": ["1"]}, 400, "ticket_type"),
    "no life": ({"expires_in": 0}, 400, "expires_in"),
    "life below zero": ({"expires_in": -1}, 400, "expires_in"),
    "part of a second": ({"expires_in": 1.5}, 400, "expires_in"),
    "life as a text": ({"expires_in": "60"}, 400, "expires_in"),
    "life as a flag": ({"expires_in": True}, 400, "expires_in"),
    "life of 301 seconds": ({"expires_in": 301}, 422, "expires_in"),
    "life of ages": ({"expires_in": 10**12}, 422, "expires_in"),
    "unknown role": ({"role": "root"}, 400, "role"),
    "subject as a list": ({"subject": []}, 400, "subject"),
    "subject id as a list": ({"subject": {"id": []}}, 400, "subject.id"),
    "subject id of 10 KiB": ({"subject": {"id": "x" * 10_240}}, 400, "subject.id"),
    "subject id with NUL": ({"subject": {"id": "a\x00"}}, 400, "subject.id"),
    "permissions as a text": ({"permissions": "routes:read"}, 400, "permissions"),
    "no keys at all": ({"key_cap": 0}, 400, "key_cap"),
    "theme unknown": ({"theme": "neon"}, 400, "theme"),
    "metadata reserved": ({"metadata": {"scopes": []}}, 400, "metadata.scopes"),
    "return link elsewhere": ({"return_url": "https://evil.example/"}, 422, "return_url"),
    "return link as a script": ({"return_url": "javascript:alert(1)"}, 422, "return_url"),
    "return link without scheme": ({"return_url": "//evil.example"}, 422, "return_url"),
    "return link with a backslash": ({"return_url": "/\\evil.example"}, 422, "return_url"),
}


@pytest.mark.parametrize(("change", "status", "field"), BAD_TICKETS.values(), ids=BAD_TICKETS)
def test_4xx_that_names_the_field(
    backend: Client, app: App, change: dict[str, object], status: int, field: str
) -> None:
    body = {name: value for name, value in {**WANTED, **change}.items() if value is not ...}
    response = backend.post("/session/tickets", body, content_type=JSON)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (status, field), response.content
    assert not Ticket.objects.exists()


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


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        ("apps:read", "GET", "/api-auth/apps"),
        ("apps:read", "GET", "/api-auth/apps/aa_1/audit/logs"),
        ("apps:write", "POST", "/api-auth/apps"),
        ("apps:write", "DELETE", "/api-auth/apps/aa_1"),
        ("apps:write", "POST", "/api-auth/rate-limit-schemes"),
        ("keys:write", "POST", "/api-auth/apps/aa_1/keys"),
        ("keys:write", "POST", "/api-auth/apps/aa_1/keys/1/revoke"),
        ("tickets:issue", "POST", "/session/tickets"),
    ],
)
def test_403_that_names_the_missing_scope_before_anything_is_looked_up(
    app: App, actor: object, now: object, scope: str, method: str, path: str
) -> None:
    others = [name for name in deployments.SCOPES if name != scope]
    key = deployments.issue_backend_key(
        deployment_id=app.deployment_id, name="narrow", scopes=others, actor=actor, now=now
    )
    client = Client(headers={"Authorization": f"Bearer {key.secret.text}"})
    response = client.generic(method, path, "not json", content_type=JSON)
    assert response.status_code == 403
    assert response.json()["details"] == {"missing_scope": scope}
    assert scope in response.json()["message"]
