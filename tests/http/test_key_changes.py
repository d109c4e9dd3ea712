"""Keys changed in place through both JSON doors, by outcome."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.core import clock
from apiauth.models import App, Key
from apiauth.services import sessions
from apiauth.services.keys import IssuedKey

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
Door = Callable[..., Any]


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    return make_app(
        permissions=["routes:read", "routes:write"],
        resources=["/v1/orders", "/v1/reports"],
        policy={"revocation": {"undo_minutes": 10}},
    )


@pytest.fixture
def page(client: Client, app: App, session_for: Callable[..., sessions.OpenedSession]) -> Client:
    client.cookies["ks_session"] = session_for(app, role="admin").token
    return client


@pytest.fixture(params=["backend", "session"])
def door(request: pytest.FixtureRequest, app: App, backend: Client, page: Client) -> Door:
    """Send a change of a key through one of the doors; return the status and the key, or the refusal."""

    def send(key: Key, deed: str, **fields: Any) -> tuple[int, Any]:
        if request.param == "backend":
            address = f"/api-auth/apps/{app.slug}/keys/{key.pk}"
            if deed == "edit":
                answer = backend.patch(address, fields, content_type=JSON)
            else:
                answer = backend.post(f"{address}/{deed}", fields, content_type=JSON)
            return answer.status_code, answer.json()
        headers = {"Origin": "http://127.0.0.1:9000"}
        answer = page.post(f"/api-auth/keys/{key.pk}/{deed}", fields, headers=headers)
        return answer.status_code, answer.json()["data"] or answer.json()

    return send


def test_200_a_key_is_disabled_and_enabled(door: Door, make_key: Callable[..., IssuedKey]) -> None:
    key = make_key().key
    assert (door(key, "disable", reason="looks odd")[1]["status"], door(key, "disable")[0]) == ("disabled", 409)
    assert (door(key, "enable")[1]["status"], door(key, "enable")[0]) == ("active", 409)


def test_200_a_revoke_is_taken_back(door: Door, make_key: Callable[..., IssuedKey]) -> None:
    key = make_key().key
    assert door(key, "undo-revoke")[0] == 409
    assert door(key, "revoke", reason="leaked")[0] == 200
    status, shown = door(key, "undo-revoke")
    assert (status, shown["status"], shown.get("revoked_reason")) == (200, "active", None)


def test_200_an_overlap_is_changed_and_ended(door: Door, make_key: Callable[..., IssuedKey]) -> None:
    key = make_key().key
    until = (clock.now() + timedelta(days=2)).isoformat()
    assert door(key, "change-overlap", overlap_ends_at=until)[0] == 409
    assert door(key, "rotate", overlap_seconds=3600)[0] == 200
    status, shown = door(key, "change-overlap", overlap_ends_at=until)
    assert (status, shown["status"], shown["overlap_ends_at"][:16]) == (200, "in_grace", until[:16])
    sooner = (clock.now() + timedelta(minutes=30)).isoformat()
    status, shown = door(key, "change-overlap", overlap_ends_at=sooner)
    assert (status, shown["status"], shown["overlap_ends_at"][:16]) == (200, "in_grace", sooner[:16])
    for beyond in ("2199-01-01T00:00:00Z", "2020-01-01T00:00:00Z"):
        assert door(key, "change-overlap", overlap_ends_at=beyond)[0] == 400
    assert (door(key, "end-overlap")[1]["status"], door(key, "end-overlap")[0]) == ("rotated_out", 409)


def test_200_a_key_is_edited_and_what_was_not_sent_stays(door: Door, make_key: Callable[..., IssuedKey]) -> None:
    key = make_key(permissions=["routes:read"], note="old").key
    status, shown = door(key, "edit", name="CI", allowed_cidrs=["203.0.113.0/24"], expires_at="2031-04-05T06:07:08Z")
    assert status == 200
    assert (shown["name"], shown["permissions"], shown["allowed_cidrs"]) == ("CI", ["routes:read"], ["203.0.113.0/24"])
    key.refresh_from_db()
    assert (key.note, key.expires_at.year) == ("old", 2031)  # type: ignore[union-attr]  # it was just set
    assert door(key, "edit", permissions=["routes:none"])[0] == 400


def test_200_an_empty_field_of_a_form_clears(page: Client, make_key: Callable[..., IssuedKey]) -> None:
    key = make_key(permissions=["routes:read"], expires_at=clock.now() + timedelta(days=1), note="old").key
    page.post(
        f"/api-auth/keys/{key.pk}/edit",
        "permissions=&allowed_cidrs=&expires_at=&note=",
        content_type=FORM,
        headers={"Origin": "http://127.0.0.1:9000"},
    )
    key.refresh_from_db()
    assert (key.permissions, key.allowed_cidrs, key.expires_at, key.note) == ([], [], None, "")


def test_200_a_key_is_bound_to_resources_of_its_app(door: Door, make_key: Callable[..., IssuedKey]) -> None:
    key = make_key().key
    status, changed = door(key, "edit", resources=["/v1/reports"])
    assert (status, changed["resources"]) == (200, ["/v1/reports"])
    status, refused = door(key, "edit", resources=["/v1/reports", "/v1/secrets"])
    assert (status, refused["errors"][0]["field"]) == (400, "resources")
    key.refresh_from_db()
    assert key.resources == ["/v1/reports"]


def test_a_resource_that_the_app_has_lost_stays_with_the_key_until_it_is_taken_away(
    backend: Client, app: App, make_key: Callable[..., IssuedKey]
) -> None:
    key = make_key(resources=["/v1/orders"]).key
    App.objects.filter(pk=app.pk).update(resources=["/v1/reports"])
    address = f"/api-auth/apps/{app.slug}/keys/{key.pk}"
    kept = backend.patch(address, {"resources": ["/v1/orders", "/v1/reports"]}, content_type=JSON).json()
    assert kept["resources"] == ["/v1/orders", "/v1/reports"]
    assert backend.patch(address, {"resources": ["/v1/reports"]}, content_type=JSON).json()["resources"] == [
        "/v1/reports"
    ]
    assert backend.patch(address, {"resources": ["/v1/orders"]}, content_type=JSON).status_code == 400


def test_a_successor_is_bound_as_the_key_was(backend: Client, app: App, make_key: Callable[..., IssuedKey]) -> None:
    key = make_key(resources=["/v1/orders"]).key
    answer = backend.post(f"/api-auth/apps/{app.slug}/keys/{key.pk}/rotate", {}, content_type=JSON)
    assert answer.json()["key"]["resources"] == ["/v1/orders"]


def test_412_a_key_that_was_changed_meanwhile(backend: Client, app: App, make_key: Callable[..., IssuedKey]) -> None:
    address = f"/api-auth/apps/{app.slug}/keys/{make_key().key.pk}"
    first = backend.patch(address, {"name": "CI"}, content_type=JSON)
    assert first["ETag"] == f'"{first.json()["updated_at"]}"'
    headers = {"If-Match": first["ETag"]}
    assert backend.patch(address, {"name": "CD"}, content_type=JSON, headers=headers).status_code == 200
    assert backend.patch(address, {"name": "CX"}, content_type=JSON, headers=headers).status_code == 412


def test_403_a_member_renames_and_no_more(
    client: Client, app: App, session_for: Callable[..., sessions.OpenedSession], make_key: Callable[..., IssuedKey]
) -> None:
    client.cookies["ks_session"] = session_for(app, role="member").token
    address, headers = f"/api-auth/keys/{make_key().key.pk}", {"Origin": "http://127.0.0.1:9000"}
    assert client.post(f"{address}/edit", {"name": "CI"}, headers=headers).status_code == 200
    refused = client.post(f"{address}/edit", {"name": "CD", "permissions": "routes:read"}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "missing_permission")
    for deed in ("disable", "enable", "undo-revoke"):
        assert client.post(f"{address}/{deed}", {}, headers=headers).status_code == 403


def test_403_a_page_does_not_bring_back_what_the_backend_revoked(
    backend: Client, page: Client, app: App, make_key: Callable[..., IssuedKey]
) -> None:
    key = make_key().key
    backend.post(f"/api-auth/apps/{app.slug}/keys/{key.pk}/revoke", {}, content_type=JSON)
    answer = page.post(f"/api-auth/keys/{key.pk}/undo-revoke", {}, headers={"Origin": "http://127.0.0.1:9000"})
    assert answer.status_code == 403


def test_200_a_key_tells_which_of_its_permissions_and_resources_its_app_no_longer_names(
    app: App, door: Door, make_key: Callable[..., IssuedKey]
) -> None:
    App.objects.filter(pk=app.pk).update(permissions=["routes:read", "tiles:read"], resources=["/v2/a", "/v2/b"])
    key = make_key(permissions=["routes:read", "tiles:read"], resources=["/v2/a", "/v2/b"]).key
    shown = door(key, "disable")[1]
    assert (shown["dropped_permissions"], shown["dropped_resources"]) == ([], [])
    App.objects.filter(pk=app.pk).update(permissions=["routes:read"], resources=["/v2/b"])
    shown = door(key, "enable")[1]
    assert (shown["permissions"], shown["dropped_permissions"]) == (["routes:read", "tiles:read"], ["tiles:read"])
    assert (shown["resources"], shown["dropped_resources"]) == (["/v2/a", "/v2/b"], ["/v2/a"])
