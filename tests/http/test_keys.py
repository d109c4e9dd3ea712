"""The backend API's keys, by outcome."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client

from apiauth.core import clock
from apiauth.core.secrets import checksum_matches, is_well_formed
from apiauth.models import App, Key
from apiauth.services import keys
from apiauth.services.keys import IssuedKey

JSON = "application/json"


def keys_of(app: App) -> str:
    return f"/api-auth/apps/{app.slug}/keys"


def test_200_with_the_key_flat_and_nested_and_its_secret_when_one_is_created(backend: Client, app: App) -> None:
    body = {
        "name": "ci",
        "permissions": ["routes:read"],
        "metadata": {"team": "blue"},
        "expires_at": "2031-04-05T06:07:08.123456Z",
    }
    response = backend.post(keys_of(app), body, content_type=JSON)
    assert response.status_code == 200
    answer = response.json()
    assert is_well_formed(answer["secret"])
    assert checksum_matches(answer["secret"])
    assert answer["secret"].startswith("nw_live_")
    assert answer["key_suffix"] == answer["secret"][-4:]
    assert {name: answer[name] for name in body} == body
    assert answer["key"] == {name: value for name, value in answer.items() if name not in ("key", "secret")}
    assert answer["is_active"] is True
    assert answer["org_role_permissions"] == answer["workspace_role_permissions"] == []
    assert answer["revoked_at"] is answer["revoked_reason"] is answer["last_used_at"] is None
    assert answer["app_slug"] == app.slug


def test_the_secret_is_in_the_answer_that_made_it_and_nowhere_after(backend: Client, app: App) -> None:
    made = backend.post(keys_of(app), {"name": "ci"}, content_type=JSON).json()
    listed = backend.get(f"{keys_of(app)}?include_inactive=true").content.decode()
    assert made["secret"] not in listed
    assert "secret" not in listed
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(k)::text FROM apiauth_key k")
        assert all(made["secret"] not in row for (row,) in cursor.fetchall())


def test_the_list_is_newest_first_and_leaves_ended_keys_out(
    backend: Client, app: App, make_key: Callable[..., IssuedKey], actor: object
) -> None:
    first, second = make_key("first").key, make_key("second").key
    assert [key["name"] for key in backend.get(keys_of(app)).json()["keys"]] == ["second", "first"]
    keys.revoke_key(app_id=app.id, key_id=second.id, reason="leaked", actor=actor, now=clock.now())
    assert [key["id"] for key in backend.get(keys_of(app)).json()["keys"]] == [str(first.id)]
    everything = backend.get(f"{keys_of(app)}?include_inactive=true").json()["keys"]
    assert everything[0]["is_active"] is False
    assert everything[0]["revoked_reason"] == "leaked"


def test_an_expired_key_stays_in_the_list(backend: Client, app: App, make_key: Callable[..., IssuedKey]) -> None:
    past = clock.now() - timedelta(days=2)
    make_key("old", now=past, expires_at=past + timedelta(days=1))
    (key,) = backend.get(keys_of(app)).json()["keys"]
    assert (key["is_active"], key["status"]) == (True, "expired")


def test_rotation_ends_the_old_key_at_once_and_keeps_its_properties(
    backend: Client, app: App, make_key: Callable[..., IssuedKey]
) -> None:
    old = make_key("ci", permissions=["routes:read"], metadata={"team": "blue"}).key
    answer = backend.post(f"{keys_of(app)}/{old.id}/rotate", {}, content_type=JSON).json()
    assert answer["id"] != str(old.id)
    assert (answer["name"], answer["permissions"], answer["metadata"]) == ("ci", ["routes:read"], {"team": "blue"})
    assert answer["lineage_id"] == str(old.lineage_id)
    before = next(
        key for key in backend.get(f"{keys_of(app)}?include_inactive=true").json()["keys"] if key["id"] == str(old.id)
    )
    assert (before["is_active"], before["revoked_reason"]) == (False, "Rotated")
    assert before["revoked_at"] == before["overlap_ends_at"]


def test_rotation_with_an_overlap_leaves_the_old_key_active(
    backend: Client, app: App, make_key: Callable[..., IssuedKey]
) -> None:
    old = make_key("ci").key
    backend.post(f"{keys_of(app)}/{old.id}/rotate", {"overlap_seconds": 3600}, content_type=JSON)
    listed = {key["id"]: key for key in backend.get(keys_of(app)).json()["keys"]}
    assert listed[str(old.id)]["is_active"] is True
    assert listed[str(old.id)]["revoked_at"] is None
    assert listed[str(old.id)]["status"] == "in_grace"


def test_rotation_needs_no_body(backend: Client, app: App, make_key: Callable[..., IssuedKey]) -> None:
    old = make_key("ci").key
    assert backend.generic("POST", f"{keys_of(app)}/{old.id}/rotate").status_code == 200


def test_404_when_a_rotated_key_is_rotated_again(backend: Client, app: App, make_key: Callable[..., IssuedKey]) -> None:
    old = make_key("ci").key
    backend.post(f"{keys_of(app)}/{old.id}/rotate", {}, content_type=JSON)
    assert backend.post(f"{keys_of(app)}/{old.id}/rotate", {}, content_type=JSON).status_code == 404


def test_revoking_answers_an_empty_object_and_404_the_second_time(
    backend: Client, app: App, make_key: Callable[..., IssuedKey]
) -> None:
    key = make_key("ci").key
    address = f"{keys_of(app)}/{key.id}/revoke"
    response = backend.post(address, {"reason": "leaked", "key_id": "1", "apiKey": "ignored"}, content_type=JSON)
    assert (response.status_code, response.json()) == (200, {})
    key.refresh_from_db()
    assert (key.revoked_reason, key.revoked_by) == ("leaked", "backend")
    revoked_at = key.revoked_at
    assert backend.post(address, {}, content_type=JSON).status_code == 404
    key.refresh_from_db()
    assert key.revoked_at == revoked_at


def test_400_for_a_permission_that_the_app_lacks(backend: Client, app: App) -> None:
    response = backend.post(keys_of(app), {"name": "ci", "permissions": ["routes:fly"]}, content_type=JSON)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "permissions")
    assert not Key.objects.in_app(app.id).exists()


@pytest.mark.parametrize("offset", ["+14:00", "-11:30"])
def test_an_expiry_of_any_zone_is_kept_in_utc(backend: Client, app: App, offset: str) -> None:
    made = backend.post(keys_of(app), {"name": "ci", "expires_at": f"2031-04-05T12:00:00{offset}"}, content_type=JSON)
    assert (
        made.json()["expires_at"]
        == {"+14:00": "2031-04-04T22:00:00.000000Z", "-11:30": "2031-04-05T23:30:00.000000Z"}[offset]
    )


def test_403_while_the_app_is_paused(backend: Client, make_app: Callable[..., App]) -> None:
    paused = make_app("aa_9", is_active=False)
    response = backend.post(keys_of(paused), {"name": "ci"}, content_type=JSON)
    assert (response.status_code, response.json()["code"]) == (403, "not_allowed")
