"""A key's own limits through both JSON doors, by outcome."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apiauth.models import ActivityEntry, App, Key
from apiauth.services import sessions
from apiauth.services.keys import IssuedKey

JSON = "application/json"
ORIGIN = {"Origin": "http://127.0.0.1:9000"}
RULE = {"unit": "minute", "duration": 1, "max_requests": 60}
DAY = {"unit": "calendar_day", "duration": 1, "max_requests": 500, "mode": "per_key_and_ip", "endpoints": ["/v1/a"]}
Door = Callable[..., tuple[int, Any]]


@pytest.fixture
def page(client: Client, app: App, session_for: Callable[..., sessions.OpenedSession]) -> Client:
    client.cookies["ks_session"] = session_for(app, role="admin").token
    return client


@pytest.fixture(params=["backend", "session"])
def door(request: pytest.FixtureRequest, app: App, backend: Client, page: Client) -> Door:
    """Make a key, or change one, through one of the doors; return the status and the key, or the refusal."""

    def send(key: Key | None, limits: object) -> tuple[int, Any]:
        if request.param == "backend":
            address = f"/api-auth/apps/{app.slug}/keys"
            if key is None:
                answer = backend.post(address, {"name": "ci", "limits": limits}, content_type=JSON)
            else:
                answer = backend.patch(f"{address}/{key.pk}", {"limits": limits}, content_type=JSON)
            return answer.status_code, answer.json()
        address = f"/api-auth/keys/{key.pk}/edit" if key else "/api-auth/keys"
        answer = page.post(address, {"name": "ci", "limits": json.dumps(limits)}, headers=ORIGIN)
        return answer.status_code, answer.json()["data"] or answer.json()

    return send


def test_200_a_key_is_made_with_limits_and_shows_them_beside_its_apps(door: Door) -> None:
    status, shown = door(None, [RULE, DAY])
    assert (status, shown["rate_limits"]) == (200, [])
    first, second = shown["limits"]
    assert first == {**RULE, "mode": "per_key", "priority": 0, "id": first["id"]}
    assert second == {**DAY, "priority": 0, "id": second["id"]}
    details = ActivityEntry.objects.latest("id").details
    assert [rule["id"] for rule in details["limits"]] == [first["id"], second["id"]]


def test_200_limits_are_changed_and_the_log_says_from_what_to_what(
    door: Door, make_key: Callable[..., IssuedKey]
) -> None:
    key = make_key(name="ci", limits=[RULE]).key
    [before] = key.limits
    status, shown = door(key, [{**RULE, "max_requests": 30, "id": before["id"]}])
    assert (status, [rule["max_requests"] for rule in shown["limits"]]) == (200, [30])
    assert shown["limits"][0]["id"] == before["id"], "so that its count goes on"
    changed = ActivityEntry.objects.latest("id").details["changed"]
    assert changed == {"limits": {"before": [before], "after": [{**before, "max_requests": 30}]}}
    assert door(key, [])[1]["limits"] == []


def test_a_limit_with_another_number_keeps_its_id_and_is_held_to_what_the_app_allows(
    door: Door, make_key: Callable[..., IssuedKey]
) -> None:
    key = make_key(name="ci", limits=[RULE]).key
    status, shown = door(key, [{**RULE, "max_requests": 30}])
    assert (status, shown["limits"]) == (
        200,
        [{**RULE, "max_requests": 30, "mode": "per_key", "priority": 0, "id": key.limits[0]["id"]}],
    )
    assert door(key, [{**RULE, "max_requests": 1001}])[0] == 400


def test_nothing_changes_where_the_same_limits_come_again(door: Door, make_key: Callable[..., IssuedKey]) -> None:
    key = make_key(name="ci", limits=[RULE, DAY]).key
    entries = ActivityEntry.objects.count()
    assert door(key, [RULE, DAY]) == door(key, key.limits)
    key.refresh_from_db()
    assert (ActivityEntry.objects.count(), key.updated_at) == (entries, key.created_at)


BAD: dict[str, tuple[object, str]] = {
    "an object": ({}, "limits"),
    "a text": ("60/60s", "limits"),
    "6 rules": ([RULE] * 6, "limits"),
    "a rule as a text": (["60/60s"], "limits[0]"),
    "a field that no rule has": ([{**RULE, "key_id": "1"}], "limits[0]"),
    "a unit unknown": ([{**RULE, "unit": "fortnight"}], "limits[0].unit"),
    "a window of two months": ([RULE, {**RULE, "unit": "month", "duration": 2}], "limits[1].duration"),
    "no request": ([{**RULE, "max_requests": 0}], "limits[0].max_requests"),
    "a count of the whole app": ([{**RULE, "mode": "per_app"}], "limits[0].mode"),
    "a path that climbs": ([{**RULE, "endpoints": ["/a/../b"]}], "limits[0].endpoints[0]"),
    "an id twice": ([{**RULE, "id": "a"}, {**DAY, "id": "a"}], "limits[1].id"),
    "more than the app allows": ([DAY, {**RULE, "max_requests": 1001}], "limits[1].max_requests"),
}


@pytest.mark.parametrize("case", BAD)
def test_400_that_names_the_place_and_nothing_changed(
    door: Door, make_key: Callable[..., IssuedKey], case: str
) -> None:
    limits, field = BAD[case]
    key = make_key(name="ci", limits=[RULE]).key
    for target in (None, key):
        status, refusal = door(target, limits)
        assert (status, refusal["errors"][0]["field"]) == (400, field)
    key.refresh_from_db()
    assert (Key.objects.count(), key.limits[0]["max_requests"]) == (1, 60)


def test_400_says_which_limit_of_the_app_is_lower(backend: Client, app: App, limit_app: Callable[..., None]) -> None:
    limit_app({**RULE, "mode": "per_key"})
    address = f"/api-auth/apps/{app.slug}/keys"
    refused = backend.post(address, {"name": "ci", "limits": [{**RULE, "max_requests": 61}]}, content_type=JSON)
    assert "60 per minute, per key" in refused.json()["message"]
    assert backend.post(address, {"name": "ci", "limits": [RULE]}, content_type=JSON).status_code == 200


def test_403_where_the_policy_keeps_limits_for_others(
    client: Client, make_app: Callable[..., App], session_for: Callable[..., sessions.OpenedSession]
) -> None:
    app = make_app("aa_2", policy={"authority": {"change_limits": "owner"}})
    client.cookies["ks_session"] = session_for(app, role="admin").token
    made = client.post("/api-auth/keys", {"name": "ci"}, headers=ORIGIN).json()["data"]
    for address in ("/api-auth/keys", f"/api-auth/keys/{made['id']}/edit"):
        refused = client.post(address, {"name": "ci", "limits": json.dumps([RULE])}, headers=ORIGIN)
        assert (refused.status_code, refused.json()["details"]["missing"]) == (403, "change_limits")
    assert client.post(f"/api-auth/keys/{made['id']}/edit", {"name": "CI"}, headers=ORIGIN).status_code == 200
    assert client.post(f"/api-auth/keys/{made['id']}/edit", {"limits": ""}, headers=ORIGIN).status_code == 403


def test_a_successor_has_the_limits(backend: Client, app: App, make_key: Callable[..., IssuedKey]) -> None:
    key = make_key(limits=[RULE]).key
    rotated = backend.post(f"/api-auth/apps/{app.slug}/keys/{key.pk}/rotate", {}, content_type=JSON).json()
    assert [rule["id"] for rule in rotated["limits"]] == [key.limits[0]["id"]]
