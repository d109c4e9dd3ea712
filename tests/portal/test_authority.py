"""The app's policy decides who may do what; a refusal names the permission that is missing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client

from apiauth.core.policy import read_policy
from apiauth.core.roles import Action
from apiauth.models import App, Key
from apiauth.models.activity import ActivityEntry
from apiauth.services import keys, sessions
from tests.portal.conftest import hidden_fields

pytestmark = pytest.mark.django_db
ORIGIN = {"Origin": "http://127.0.0.1:9000"}
ClientFor = Callable[..., Client]


@pytest.fixture
def client_for(app: App, session_for: Callable[..., sessions.OpenedSession]) -> ClientFor:
    def make(document: dict[str, Any], role: str, subject: str = "ann") -> Client:
        App.objects.filter(pk=app.pk).update(policy=read_policy(document))
        client = Client(headers=ORIGIN)
        client.cookies["ks_session"] = session_for(app, role=role, subject_id=subject).token
        return client

    return make


def test_403_names_the_missing_permission_and_the_role(client_for: ClientFor, make_key: Callable[..., Any]) -> None:
    foreign = make_key().key
    client = client_for({"authority": "admin_override"}, "member")
    answer = client.post(f"/api-auth/keys/{foreign.id}/revoke")
    assert answer.status_code == 403
    assert answer.json()["code"] == "missing_permission"
    assert answer.json()["details"] == {"missing": "revoke_any", "role": "member"}
    assert "Ask an admin or an owner of Northwind Maps" in answer.json()["message"]
    entry = ActivityEntry.objects.get(event="session.denied")
    assert (entry.key_id, entry.details["action"]) == (foreign.id, "revoke_any")


@pytest.mark.parametrize("verb", ["rotate", "revoke"])
@pytest.mark.parametrize(
    ("preset", "role", "own", "other"),
    [
        ("owner_only", "member", 200, 403),
        ("owner_only", "admin", 200, 403),
        ("owner_only", "owner", 200, 200),
        ("admin_override", "member", 200, 403),
        ("admin_override", "admin", 200, 200),
        ("admin_override", "viewer", 403, 403),
    ],
)
def test_own_keys_and_those_of_others(
    client_for: ClientFor, make_key: Callable[..., Any], preset: str, role: str, own: int, other: int, verb: str
) -> None:
    foreign = make_key().key
    mine = client_for({}, "admin").post("/api-auth/keys", {"name": "mine"}).json()["data"]["id"]
    client = client_for({"authority": preset}, role)
    for key_id, status in ((mine, own), (foreign.id, other)):
        page = client.get(f"/portal/keys/{key_id}").content.decode()
        assert (f"/portal/keys/{key_id}/{verb}" in page) == (status == 200), "offered where the server allows it"
        assert client.get(f"/portal/keys/{key_id}/{verb}").status_code == status
        assert client.post(f"/api-auth/keys/{key_id}/{verb}").status_code == status


@dataclass(frozen=True)
class Asked:
    """How one action is asked for, of the portal and of the session API; `{id}` is that of a key."""

    portal: str
    api: str = ""
    form: dict[str, Any] | None = None
    api_form: dict[str, Any] | None = None


def about_own_and_any(word: str) -> dict[str, Asked]:
    asked = Asked(f"/portal/keys/{{id}}/{word}", f"/api-auth/keys/{{id}}/{word}", api_form={})
    return {f"{word}_{whose}": asked for whose in ("own", "any")}


_EDIT, _API_EDIT, _GRANT = "/portal/keys/{id}/edit", "/api-auth/keys/{id}/edit", {"allowed_cidrs": "203.0.113.0/24"}
_LIMIT = {"limits-0-max_requests": "5", "limits-0-duration": "1", "limits-0-unit": "hour", "limits-0-mode": "per_key"}
_LIMITS = '[{"unit": "minute", "duration": 1, "max_requests": 5}]'
MATRIX = {
    "see": Asked("/portal/keys", "/api-auth/keys"),
    "create": Asked("/portal/keys/new", "/api-auth/keys", api_form={"name": "New"}),
    "rename": Asked(_EDIT, _API_EDIT, {"name": "New"}, {"name": "New"}),
    "edit_own": Asked(_EDIT, _API_EDIT, {**_GRANT, "ends": "keep"}, _GRANT),
    "edit_any": Asked(_EDIT, _API_EDIT, {**_GRANT, "ends": "keep"}, _GRANT),
    **about_own_and_any("rotate"),
    **about_own_and_any("disable"),
    **about_own_and_any("revoke"),
    "change_limits": Asked(_EDIT, _API_EDIT, _LIMIT, {"limits": _LIMITS}),
    "export": Asked("/portal/logs/export", form={}),
    "see_activity": Asked("/portal/activity"),
    "see_compliance": Asked("/portal/compliance"),
}
OF_WHAT_IS_SHOWN = ("see_addresses", "see_user_agents")  # they open no door: see test_sight.py


def test_the_matrix_leaves_no_action_out() -> None:
    assert sorted(action.value for action in Action) == sorted([*MATRIX, *OF_WHAT_IS_SHOWN])


@pytest.mark.parametrize("may", [True, False], ids=["within the role", "beyond the role"])
@pytest.mark.parametrize("action", MATRIX)
def test_every_action_is_decided_alike_by_the_portal_and_by_the_session_api(
    client_for: ClientFor, make_key: Callable[..., Any], action: str, may: bool
) -> None:
    own = client_for({}, "admin").post("/api-auth/keys", {"name": "mine"}).json()["data"]["id"]
    key_id, asked = own if action.endswith("_own") else str(make_key().key.pk), MATRIX[action]
    beyond = {*Action} - {action, "see"} if may else {action, action.replace("_own", "_any")}
    client = client_for(
        {"authority": {each.value: "owner" if each in beyond else "member" for each in Action}}, "member"
    )
    page, guards = asked.portal.replace("{id}", key_id), {}
    if asked.form is not None:
        guards = hidden_fields(client.get("/portal/").content.decode())
        guards["seen"] = Key.objects.get(pk=int(key_id)).updated_at.isoformat()
    answer = client.get(page) if asked.form is None else client.post(page, guards | asked.form)
    assert answer.status_code in ((200, 303) if may else (403,))
    if asked.api:
        address = asked.api.replace("{id}", key_id)
        told = client.get(address) if asked.api_form is None else client.post(address, asked.api_form)
        assert told.status_code == (200 if may else 403), told.content
        assert may or told.json()["details"] == {"missing": action, "role": "member"}


def test_the_key_of_a_nameless_subject_is_nobodys_own(client_for: ClientFor) -> None:
    made = client_for({}, "admin", "").post("/api-auth/keys", {"name": "x"}).json()["data"]["id"]
    client = client_for({"authority": "owner_only"}, "member", "")
    assert client.post(f"/api-auth/keys/{made}/revoke").status_code == 403


def test_a_viewer_sees_nothing_where_seeing_takes_more(client_for: ClientFor) -> None:
    client = client_for({"authority": {"see": "admin"}}, "member")
    assert client.get("/api-auth/keys").json()["details"] == {"missing": "see", "role": "member"}
    assert client.get("/portal/keys").status_code == 403


def test_the_activity_log_is_for_whom_the_policy_says(client_for: ClientFor, make_key: Callable[..., Any]) -> None:
    key: Key = make_key().key
    client = client_for({"authority": {"see_activity": "admin"}}, "member")
    assert client.get("/portal/activity").status_code == 403
    pages = [client.get(address).content.decode() for address in ("/portal/", f"/portal/keys/{key.id}")]
    assert all("/portal/activity" not in page for page in pages)
    assert client_for({"authority": {"see_activity": "admin"}}, "admin").get("/portal/activity").status_code == 200


def test_a_policy_is_in_force_for_sessions_that_are_open(
    client_for: ClientFor, app: App, make_key: Callable[..., keys.IssuedKey]
) -> None:
    client = client_for({}, "admin")
    App.objects.filter(pk=app.pk).update(policy=read_policy({"authority": {"create": "owner"}}))
    assert client.post("/api-auth/keys", {"name": "x"}).status_code == 403
    assert client.get("/portal/keys/new").status_code == 403
