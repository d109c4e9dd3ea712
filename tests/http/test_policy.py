"""The policy on the wire, and its ends at every door that makes or keeps a key."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.core.policy import Policy, read_policy
from apiauth.models import App, Key
from apiauth.services import sessions

pytestmark = pytest.mark.django_db
ADDRESS = "/api-auth/apps/aa_1"
JSON = "application/json"
ORIGIN = {"Origin": "http://127.0.0.1:9000"}
NINETY = {"expiry": {"mode": "mandatory", "longest_days": 90}}
OWN = {"scope": {"model": "user"}}


def patch(backend: Client, **fields: Any) -> Any:
    return backend.patch(ADDRESS, fields, content_type=JSON)


def put(app: App, document: dict[str, Any]) -> None:
    App.objects.filter(pk=app.pk).update(policy=read_policy(document))


@pytest.fixture
def page(app: App, client: Client, session_for: Callable[..., sessions.OpenedSession]) -> Client:
    client.cookies["ks_session"] = session_for(app, subject_id="ann").token
    return client


def test_200_an_app_shows_its_whole_policy_and_takes_it_back(backend: Client, app: App) -> None:
    shown = backend.get(ADDRESS).json()["policy"]
    assert shown == Policy().document()
    answer = patch(backend, policy={**shown, "authority": "owner_only"})
    assert answer.status_code == 200
    assert answer.json()["policy"]["authority"]["revoke_any"] == "owner"
    assert patch(backend, policy=None).json()["policy"] == shown
    app.refresh_from_db()
    assert app.policy == Policy()


def test_200_a_new_app_comes_with_its_policy(backend: Client) -> None:
    body = {"app_slug": "aa_2", "name": "Two", "key_prefix": "tw_live", "policy": NINETY}
    assert backend.post("/api-auth/apps", body, content_type=JSON).json()["policy"]["expiry"]["longest_days"] == 90
    assert backend.get("/api-auth/apps/aa_2").json()["policy"]["expiry"]["longest_days"] == 90


def test_400_a_new_app_chooses_no_moment_from_which_it_is_enforced(backend: Client) -> None:
    rotation = {"mode": "required", "every_days": 30, "enforced_from": "2100-01-01T00:00:00Z"}
    fields = {"app_slug": "aa_7", "name": "Maps", "key_prefix": "nm_live", "policy": {"rotation": rotation}}
    answer = backend.post("/api-auth/apps", fields, content_type=JSON)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "policy.rotation.enforced_from")
    assert not App.objects.filter(slug="aa_7").exists()


def test_400_names_the_place_and_nothing_else_is_changed(backend: Client, app: App) -> None:
    for method, extra in ((backend.patch, {}), (backend.post, {"app_slug": "x", "key_prefix": "xx"})):
        address = ADDRESS if method == backend.patch else "/api-auth/apps"
        body = {"name": "Renamed", "policy": {"expiry": {"mode": "mandatory", "longest_days": 0}}, **extra}
        answer = method(address, body, content_type=JSON)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["field"] == "policy.expiry.longest_days"
    app.refresh_from_db()
    assert (app.name, App.objects.count()) == ("Northwind Maps", 1)


def test_422_counts_the_keys_and_asks_from_when(backend: Client, make_key: Callable[..., Any], now: datetime) -> None:
    key = make_key().key
    answer = patch(backend, policy=NINETY, name="Renamed")
    assert answer.status_code == 422
    assert "affects 1 key." in answer.json()["message"]
    assert backend.get(ADDRESS).json()["name"] == "Northwind Maps"
    moment = (now + timedelta(days=100)).isoformat()
    assert patch(backend, policy=NINETY, policy_applies_at=moment, name="Renamed").json()["name"] == "Renamed"
    key.refresh_from_db()
    assert key.expires_at == now + timedelta(days=100)


@pytest.mark.parametrize("moment", ["yesterday", "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"])
def test_400_for_a_moment_that_is_none(backend: Client, app: App, moment: str) -> None:
    answer = patch(backend, policy=NINETY, policy_applies_at=moment)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "policy_applies_at")


def test_400_for_a_moment_without_a_policy(backend: Client, app: App, now: datetime) -> None:
    answer = patch(backend, policy_applies_at=now.isoformat())
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "policy_applies_at")


def test_412_a_policy_is_not_put_over_one_that_was_not_seen(backend: Client, app: App) -> None:
    seen = backend.get(ADDRESS)["ETag"]
    assert patch(backend, policy={"authority": "owner_only"}).status_code == 200
    answer = backend.patch(ADDRESS, {"policy": None}, content_type=JSON, headers={"If-Match": seen})
    assert answer.status_code == 412


def test_a_session_says_what_it_may_do(page: Client, app: App) -> None:
    assert "revoke_any" in page.get("/api-auth/session").json()["data"]["actions"]
    put(app, {"authority": "owner_only"})
    actions = page.get("/api-auth/session").json()["data"]["actions"]
    assert "revoke_own" in actions
    assert "revoke_any" not in actions


def test_a_key_without_an_end_is_refused_at_every_door(
    page: Client, backend: Client, app: App, make_key: Callable[..., Any], now: datetime
) -> None:
    put(app, NINETY)
    late = (now + timedelta(days=91)).isoformat()
    for ends in ({}, {"expires_at": late}):
        answers = (
            page.post("/api-auth/keys", {"name": "x", **ends}, headers=ORIGIN),
            backend.post(f"{ADDRESS}/keys", {"name": "x", **ends}, content_type=JSON),
        )
        for answer in answers:
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "expires_at")
            assert "at most 90 days" in answer.json()["message"]
    assert not Key.objects.exists()
    assert make_key(expires_at=now + timedelta(days=89)).key.expires_at is not None


def test_the_default_end_is_cut_to_the_sessions_own(
    app: App, client: Client, session_for: Callable[..., sessions.OpenedSession], now: datetime
) -> None:
    put(app, {"expiry": {"mode": "mandatory", "longest_days": 90, "default_days": 60}})
    for longest, days in ((None, 60), (30, 30)):
        client.cookies["ks_session"] = session_for(app, longest_expiry_days=longest).token
        made = client.post("/api-auth/keys", {"name": "x"}, headers=ORIGIN).json()["data"]["id"]
        key = Key.objects.get(pk=made)
        assert key.expires_at == key.created_at + timedelta(days=days)


def test_a_successor_ends_no_later_than_a_new_key(
    page: Client, backend: Client, app: App, make_key: Callable[..., Any], now: datetime
) -> None:
    endless, short = make_key().key, make_key(expires_at=now + timedelta(days=5)).key
    put(app, NINETY)
    rotated = page.post(f"/api-auth/keys/{endless.id}/rotate", headers=ORIGIN).json()["data"]
    new = Key.objects.get(pk=rotated["id"])
    assert new.expires_at == new.created_at + timedelta(days=90)
    other = backend.post(f"{ADDRESS}/keys/{short.id}/rotate", {}, content_type=JSON).json()
    assert Key.objects.get(pk=other["id"]).expires_at == short.expires_at


def test_a_key_says_when_it_must_be_rotated(backend: Client, app: App, make_key: Callable[..., Any]) -> None:
    young, old = make_key("Young").key, make_key("Old").key
    Key.objects.filter(pk=old.id).update(created_at=old.created_at - timedelta(days=31))
    put(app, {"rotation": {"mode": "required", "every_days": 30}})
    found = {key["name"]: key for key in backend.get(f"{ADDRESS}/keys").json()["keys"]}
    assert (found["Old"]["is_rotation_overdue"], found["Young"]["is_rotation_overdue"]) == (True, False)
    assert datetime.fromisoformat(found["Young"]["rotation_due_at"]) == young.created_at + timedelta(days=30)


def test_a_backend_names_whom_a_key_belongs_to(backend: Client, app: App) -> None:
    owner = {"user_id": "u1", "organization_id": 7, "workspace_id": "w1"}
    made = backend.post(f"{ADDRESS}/keys", {"name": "x", **owner}, content_type=JSON).json()
    assert (made["user_id"], made["organization_id"], made["workspace_id"]) == ("u1", "7", "w1")
    assert made["created_by"] == "backend"


@pytest.mark.parametrize(
    ("document", "fields", "field"),
    [
        (NINETY, {"longest_expiry_days": 91}, "longest_expiry_days"),
        ({}, {"permissions": ["routes:delete"]}, "permissions"),
        ({}, {"return_url": "https://elsewhere.example/"}, "return_url"),
        (OWN, {}, "subject.id"),
        ({"scope": {"model": "organization"}}, {"workspace_id": "w"}, "organization_id"),
        ({"scope": {"model": "workspace"}}, {"organization_id": "o"}, "workspace_id"),
    ],
)
def test_422_for_a_ticket_that_reaches_further_than_the_app(
    backend: Client, app: App, document: dict[str, Any], fields: dict[str, Any], field: str
) -> None:
    put(app, document)
    body = {"ticket_type": "api_auth_access", "api_auth_app_slug": app.slug, **fields}
    answer = backend.post("/session/tickets", body, content_type=JSON)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_422_for_a_ticket_to_another_organizations_app(backend: Client, make_app: Callable[..., App]) -> None:
    app = make_app("aa_3", key_prefix="ac_live", user_id="u1", organization_id="acme")
    body = {"ticket_type": "api_auth_access", "api_auth_app_slug": app.slug}
    answer = backend.post("/session/tickets", {**body, "organization_id": "other"}, content_type=JSON)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "organization_id")
    assert backend.post("/session/tickets", body, content_type=JSON).status_code == 200
