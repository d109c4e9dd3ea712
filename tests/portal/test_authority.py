"""The app's policy decides who may do what; a refusal names the permission that is missing."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apiauth.core.policy import read_policy
from apiauth.models import App, Key
from apiauth.models.activity import ActivityEntry
from apiauth.services import keys, sessions

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
