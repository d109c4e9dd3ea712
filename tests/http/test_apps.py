"""The backend API's apps, by outcome."""

from collections.abc import Callable

import pytest
from django.test import Client

from apiauth.models import ActivityEntry, App, Deployment

JSON = "application/json"
NEW_APP = {"app_slug": "aa_7", "name": "Orbit API", "key_prefix": "orb_live"}


def test_200_with_the_app_when_one_is_created(backend: Client, deployment: Deployment) -> None:
    response = backend.post("/api-auth/apps", NEW_APP, content_type=JSON)
    assert response.status_code == 200
    body = response.json()
    assert body["deployment_id"] == str(deployment.id)
    assert {name: body[name] for name in NEW_APP} == NEW_APP
    assert body["is_active"] is True
    assert body["description"] is None
    assert body["deleted_at"] is None
    assert body["permissions"] == body["resources"] == body["rate_limits"] == []
    assert not {"user_id", "organization_id", "workspace_id", "rate_limit_scheme_slug"} & set(body)
    assert body["created_at"].endswith("Z")


def test_the_backend_key_is_the_actor_in_the_activity_log(backend: Client, backend_key: object) -> None:
    backend.post("/api-auth/apps", NEW_APP, content_type=JSON)
    entry = ActivityEntry.objects.get(event="app.created")
    assert (entry.actor_kind, entry.actor_id, entry.via) == ("backend_key", str(backend_key.row.id), "api")


def test_ids_are_taken_as_text_or_number_and_answered_as_text(backend: Client) -> None:
    body = {**NEW_APP, "user_id": 90071992547409931, "organization_id": "7"}
    answer = backend.post("/api-auth/apps", body, content_type=JSON).json()
    assert (answer["user_id"], answer["organization_id"]) == ("90071992547409931", "7")


def test_409_when_the_slug_is_taken(backend: Client, app: App) -> None:
    response = backend.post("/api-auth/apps", {**NEW_APP, "app_slug": app.slug}, content_type=JSON)
    assert response.status_code == 409
    assert response.json()["code"] == "conflict"
    assert response.json()["errors"][0] == {
        "message": response.json()["message"],
        "code": 409,
        "field": "app_slug",
    }


def test_the_list_is_under_both_names_and_leaves_paused_apps_out(backend: Client, make_app: Callable[..., App]) -> None:
    make_app("aa_1")
    make_app("aa_2", is_active=False)
    listed = backend.get("/api-auth/apps").json()
    assert [app["app_slug"] for app in listed["apps"]] == ["aa_1"]
    assert listed["data"] == listed["apps"]
    assert (listed["has_more"], listed["limit"], listed["offset"], listed["total"]) == (False, 50, 0, 1)
    everything = backend.get("/api-auth/apps?include_inactive=true").json()
    assert [app["app_slug"] for app in everything["apps"]] == ["aa_2", "aa_1"]


def test_the_list_is_paged_and_searched(backend: Client, make_app: Callable[..., App]) -> None:
    for number in range(3):
        make_app(f"aa_{number}", name=f"App {number}")
    page = backend.get("/api-auth/apps?limit=2").json()
    assert (len(page["apps"]), page["has_more"], page["total"]) == (2, True, 3)
    rest = backend.get("/api-auth/apps?limit=2&offset=2").json()
    assert (len(rest["apps"]), rest["has_more"]) == (1, False)
    assert [app["app_slug"] for app in backend.get("/api-auth/apps?search=pp 1").json()["apps"]] == ["aa_1"]


def test_patch_tells_null_from_absent(backend: Client, make_app: Callable[..., App]) -> None:
    make_app("aa_1", description="Maps", permissions=["routes:read"])
    kept = backend.patch("/api-auth/apps/aa_1", {"name": "Renamed"}, content_type=JSON).json()
    assert (kept["name"], kept["description"], kept["permissions"]) == ("Renamed", "Maps", ["routes:read"])
    cleared = backend.patch("/api-auth/apps/aa_1", {"description": None}, content_type=JSON).json()
    assert (cleared["name"], cleared["description"]) == ("Renamed", None)


def test_patch_cannot_touch_what_is_not_its_own(backend: Client, app: App) -> None:
    meant = {"app_slug": "other", "deployment_id": "1", "id": "1", "deleted_at": "2026-01-01T00:00:00Z", "user_id": "9"}
    answer = backend.patch(f"/api-auth/apps/{app.slug}", meant, content_type=JSON)
    assert answer.status_code == 200
    before = App.objects.get(pk=app.pk)
    assert (before.slug, before.deployment_id, before.deleted_at, before.user_id) == (
        app.slug,
        app.deployment_id,
        None,
        None,
    )


def test_a_scheme_is_given_and_taken_away(backend: Client, app: App) -> None:
    rule = {"unit": "minute", "duration": 1, "max_requests": 60}
    backend.post("/api-auth/rate-limit-schemes", {"slug": "basic", "name": "Basic", "rules": [rule]}, content_type=JSON)
    given = backend.patch(f"/api-auth/apps/{app.slug}", {"rate_limit_scheme_slug": "basic"}, content_type=JSON).json()
    assert given["rate_limit_scheme_slug"] == "basic"
    assert given["rate_limits"][0]["mode"] == "per_app"
    taken = backend.patch(f"/api-auth/apps/{app.slug}", {"rate_limit_scheme_slug": None}, content_type=JSON).json()
    assert "rate_limit_scheme_slug" not in taken


def test_delete_answers_an_empty_object_and_404_afterwards(backend: Client, app: App) -> None:
    response = backend.delete(f"/api-auth/apps/{app.slug}")
    assert (response.status_code, response.json()) == (200, {})
    assert backend.get(f"/api-auth/apps/{app.slug}").status_code == 404
    again = backend.post("/api-auth/apps", {**NEW_APP, "app_slug": app.slug}, content_type=JSON)
    assert again.status_code == 409


# What one field alone refuses is tried in `test_values.py`.
BAD_APPS = {
    "organization without user": ({"organization_id": "7"}, "organization_id"),
    "workspace without user": ({"workspace_id": "7"}, "workspace_id"),
    "permissions beside a user": ({"user_id": "9", "permissions": ["routes:read"]}, "permissions"),
    "resources beside a user": ({"user_id": "9", "resources": ["maps"]}, "resources"),
}


@pytest.mark.parametrize(("change", "field"), BAD_APPS.values(), ids=BAD_APPS)
def test_400_that_names_the_field(backend: Client, change: dict[str, object], field: str) -> None:
    response = backend.post("/api-auth/apps", {**NEW_APP, **change}, content_type=JSON)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, field), response.content
    assert not App.objects.exists()


def test_404_for_a_scheme_that_does_not_exist(backend: Client) -> None:
    response = backend.post("/api-auth/apps", {**NEW_APP, "rate_limit_scheme_slug": "none"}, content_type=JSON)
    assert response.status_code == 404


def test_permissions_are_described_and_grouped_and_have_ready_made_choices(backend: Client) -> None:
    catalogue = {
        "permissions": ["routes:read", "routes:write"],
        "permission_details": {"routes:read": {"description": "Look routes up.", "group": "Routes"}},
        "permission_presets": {"Read only": ["routes:read"]},
    }
    answer = backend.post("/api-auth/apps", {**NEW_APP, **catalogue}, content_type=JSON).json()
    assert {name: answer[name] for name in catalogue} == catalogue
    changed = {"permission_details": {"routes:write": {"description": "Change routes."}}, "permission_presets": {}}
    answer = backend.patch("/api-auth/apps/aa_7", changed, content_type=JSON).json()
    assert answer["permission_details"] == {"routes:write": {"description": "Change routes.", "group": ""}}
    assert (answer["permission_presets"], answer["permissions"]) == ({}, catalogue["permissions"])
