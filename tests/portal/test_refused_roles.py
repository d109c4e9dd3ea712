"""A change that a role does not reach changes nothing, and is on record."""

from collections.abc import Callable

import pytest
from django.test import Client

from apiauth.core.events import Event
from apiauth.models import App, Key
from apiauth.models.activity import ActivityEntry
from apiauth.services import activity, keys, sessions

pytestmark = pytest.mark.django_db
ORIGIN = "http://127.0.0.1:9000"


def refusals() -> list[ActivityEntry]:
    return list(ActivityEntry.objects.filter(event=Event.SESSION_DENIED))


def assert_untouched(key: Key) -> None:
    key.refresh_from_db()
    assert (key.revoked_at, key.disabled_at, key.replaced_by_id) == (None, None, None)
    assert Key.objects.count() == 1


@pytest.mark.parametrize(
    ("role", "action"),
    [
        ("viewer", "create"),
        ("viewer", "rotate"),
        ("viewer", "revoke"),
        ("member", "revoke"),
    ],
)
def test_the_portal_refuses_and_records_it(
    role: str, action: str, portal_client: Callable[..., Client], make_key: Callable[..., keys.IssuedKey]
) -> None:
    key, client = make_key().key, portal_client(role=role)
    address = "/portal/keys/new" if action == "create" else f"/portal/keys/{key.id}/{action}"
    assert client.post(address, {"name": "Mine"}).status_code == 403
    assert_untouched(key)
    [entry] = refusals()
    assert entry.details["role"] == role
    assert entry.details["action"].split("_")[0] == action
    assert entry.via == "portal"


@pytest.mark.parametrize("action", ["create", "rotate", "revoke"])
def test_the_session_api_refuses_and_records_it(
    action: str,
    app: App,
    client: Client,
    session_for: Callable[..., sessions.OpenedSession],
    make_key: Callable[..., keys.IssuedKey],
) -> None:
    key = make_key().key
    client.cookies["ks_session"] = session_for(app, role="viewer").token
    address = "/api-auth/keys" if action == "create" else f"/api-auth/keys/{key.id}/{action}"
    assert client.post(address, {"name": "Mine"}, headers={"Origin": ORIGIN}).status_code == 403
    assert_untouched(key)
    [entry] = refusals()
    assert (entry.app_id, entry.via) == (app.id, "session_api")


def test_a_stranger_page_writes_no_refusal(
    app: App, client: Client, session_for: Callable[..., sessions.OpenedSession]
) -> None:
    client.cookies["ks_session"] = session_for(app, role="viewer").token
    assert client.post("/api-auth/keys", {"name": "x"}, headers={"Origin": "https://evil.example"}).status_code == 403
    assert refusals() == []


def test_a_look_at_a_form_beyond_the_role_writes_no_refusal(portal_client: Callable[..., Client]) -> None:
    assert portal_client(role="viewer").get("/portal/keys/new").status_code == 403
    assert refusals() == []


def test_the_chain_holds_after_a_refusal(app: App, portal_client: Callable[..., Client]) -> None:
    portal_client(role="viewer").post("/portal/keys/new", {"name": "Mine"})
    assert activity.verify_chain(activity.chain_name(deployment_id=app.deployment_id, app_id=app.id)) is None
