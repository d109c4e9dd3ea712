"""What a change to a key would block, asked through both JSON doors before it is made."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.core import clock
from apiauth.models import ActivityEntry, App, Key
from apiauth.services import impact, sessions
from apiauth.services.keys import IssuedKey
from tests.portal.test_overlap import stop_worker
from tests.support.decisions import decision, put_on_record
from tests.support.rows import every_row

JSON = "application/json"
ORIGIN = {"Origin": "http://127.0.0.1:9000"}
DAY = {"unit": "day", "duration": 30, "max_requests": 2}
LISTS = ("permissions", "allowed_cidrs", "resources")
CALLS: tuple[dict[str, Any], ...] = (
    {"client_ip": "203.0.113.9", "required_permissions": ["routes:read"]},
    {"client_ip": "203.0.113.9"},
    {"client_ip": "198.51.100.7", "path": "/v1/b", "method": "POST"},
)
Door = Callable[..., tuple[int, Any]]


@pytest.fixture
def key(make_key: Callable[..., IssuedKey]) -> Key:
    """A key that made three calls in the last minutes."""
    key = make_key(permissions=["routes:read"]).key
    App.objects.filter(pk=key.app_id).update(resources=["/v1/a"])
    ids = {"deployment_id": key.deployment_id, "app_id": key.app_id, "key_id": key.pk}
    put_on_record(
        decision(clock.now() - timedelta(minutes=number + 1), **ids, **call) for number, call in enumerate(CALLS)
    )
    return key


@pytest.fixture
def page_for(client: Client, session_for: Callable[..., sessions.OpenedSession]) -> Callable[..., Client]:
    def enter(app: App, role: str = "admin") -> Client:
        client.cookies["ks_session"] = session_for(app, role=role).token
        return client

    return enter


@pytest.fixture(params=["backend", "session"])
def door(request: pytest.FixtureRequest, app: App, backend: Client, page_for: Callable[..., Client]) -> Door:
    """Ask through one of the doors; return the status and what would happen, or the refusal."""
    page = page_for(app)

    def ask(key: Key, **proposed: Any) -> tuple[int, Any]:
        if request.param == "backend":
            address = f"/api-auth/apps/{app.slug}/keys/{key.pk}/impact"
            answer = backend.post(address, proposed, content_type=JSON)
            return answer.status_code, answer.json()
        form = {
            name: value if name in LISTS or isinstance(value, str) else json.dumps(value)
            for name, value in proposed.items()
        }
        form.update({name: "" for name in LISTS if form.get(name) == []})
        answer = page.post(f"/api-auth/keys/{key.pk}/impact", form, headers=ORIGIN)
        return answer.status_code, answer.json()["data"] or answer.json()

    return ask


def test_200_while_the_log_lags_the_answer_says_up_to_when_it_is_complete(door: Door, key: Key) -> None:
    stop_worker(minutes_ago=90)
    status, found = door(key, action="revoke")
    end, complete = (datetime.fromisoformat(found[name]) for name in ("window_end", "complete_until"))
    assert (status, (end - complete) // timedelta(minutes=1)) == (200, 90)


@pytest.mark.parametrize(("action", "rule"), [("revoke", "key_revoked"), ("disable", "key_disabled")])
def test_200_an_end_would_block_every_call(door: Door, key: Key, action: str, rule: str) -> None:
    status, found = door(key, action=action)
    assert (status, found["calls"], found["blocked"]) == (200, 3, 3)
    assert found["rules"] == [{"rule": rule, "calls": 3}]
    assert found["addresses"][0] == {"client_ip": "203.0.113.9", "calls": 2}
    assert (found["address_count"], found["path_count"]) == (2, 2)
    assert found["paths"] == [{"path": "GET /v1/a", "calls": 2}, {"path": "POST /v1/b", "calls": 1}]
    assert found["window_start"] < found["last_blocked_at"] < found["window_end"]
    assert found["last_blocked_at"] < found["complete_until"]


@pytest.mark.parametrize(
    ("proposed", "rules"),
    [
        ({"permissions": ["routes:write"]}, {"permission_denied": 1}),
        ({"permissions": []}, {"permission_denied": 1}),
        ({"allowed_cidrs": ["203.0.113.0/24"]}, {"ip_not_allowed": 1}),
        ({"allowed_cidrs": []}, {}),
        ({"resources": ["/v1/a"]}, {"resource_not_allowed": 1}),
        ({"resources": []}, {}),
        ({"limits": [DAY]}, {"rate_limited": 1}),
        ({"limits": [{**DAY, "mode": "per_key_and_ip"}]}, {}),
        ({"limits": [{**DAY, "max_requests": 1, "endpoints": ["/v1/a"]}]}, {"rate_limited": 1}),
        ({"limits": []}, {}),
        ({"allowed_cidrs": ["203.0.113.9"], "limits": [{**DAY, "max_requests": 1}]},
         {"ip_not_allowed": 1, "rate_limited": 1}),
    ],
    ids=str,
)  # fmt: skip
def test_200_a_change_would_block_what_it_no_longer_allows(
    door: Door, key: Key, proposed: dict[str, Any], rules: dict[str, int]
) -> None:
    status, found = door(key, **proposed)
    assert (status, found["calls"], found["blocked"]) == (200, 3, sum(rules.values()))
    assert {entry["rule"]: entry["calls"] for entry in found["rules"]} == rules
    assert ("last_blocked_at" in found, found["last_blocked_at"] is None) == (True, not rules)


def test_200_a_resource_that_the_app_has_lost_would_open_nothing(door: Door, key: Key) -> None:
    Key.objects.filter(pk=key.pk).update(resources=["/v1/b", "/v1/a"])  # the app names /v1/a alone
    for kept, blocked in ((["/v1/b"], 3), (["/v1/b", "/v1/a"], 1)):
        status, found = door(key, resources=kept)
        assert (status, found["calls"], found["blocked"]) == (200, 3, blocked)


def test_to_ask_changes_nothing(door: Door, key: Key) -> None:
    door(key, action="revoke")  # that the caller was here is noted once
    rows = every_row()
    for proposed in ({"action": "revoke"}, {"permissions": ["routes:write"], "limits": [DAY]}):
        assert door(key, **proposed)[0] == 200
    assert every_row() == rows


@pytest.mark.parametrize(
    ("proposed", "field"),
    [
        ({}, "action"),
        ({"action": "rotate"}, "action"),
        ({"action": "revoke", "limits": [DAY]}, "action"),
        ({"permissions": ["routes:fly"]}, "permissions"),
        ({"allowed_cidrs": ["localhost"]}, "allowed_cidrs"),
        ({"limits": [{**DAY, "unit": "minute", "duration": 1, "max_requests": 1001}]}, "limits[0].max_requests"),
    ],
    ids=str,
)
def test_400_for_what_could_not_be_done_either(door: Door, key: Key, proposed: dict[str, Any], field: str) -> None:
    status, refusal = door(key, **proposed)
    assert (status, refusal["errors"][0]["field"]) == (400, field)


def test_404_for_a_key_of_another_app(door: Door, make_app: Callable[..., App], make_key: Callable[..., Any]) -> None:
    elsewhere = make_key(in_app=make_app("aa_2")).key
    assert door(elsewhere, action="revoke")[0] == 404


def test_503_where_the_calls_cannot_be_read_in_time(door: Door, key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(impact, "WINDOWS", ())
    status, refusal = door(key, action="revoke")
    assert (status, refusal["code"]) == (503, "impact_unknown")


def test_403_where_the_change_itself_would_be_refused(app: App, key: Key, page_for: Callable[..., Client]) -> None:
    page, entries = page_for(app, role="member"), ActivityEntry.objects.count()
    wanted = {"revoke": "revoke_any", "disable": "disable_any"}
    for action, missing in wanted.items():
        refused = page.post(f"/api-auth/keys/{key.pk}/impact", {"action": action}, headers=ORIGIN)
        assert (refused.status_code, refused.json()["details"]["missing"]) == (403, missing)
    for form, missing in (({"permissions": ""}, "edit_any"), ({"limits": "[]"}, "change_limits")):
        refused = page.post(f"/api-auth/keys/{key.pk}/impact", form, headers=ORIGIN)
        assert (refused.status_code, refused.json()["details"]["missing"]) == (403, missing)
    assert ActivityEntry.objects.count() == entries, "nobody tried to change anything"


def test_addresses_are_for_those_who_may_see_them_and_cannot_be_found_out_by_trying(
    make_app: Callable[..., App], key: Key, page_for: Callable[..., Client]
) -> None:
    app = App.objects.get(pk=key.app_id)
    app.policy = {"authority": {"see_addresses": "owner"}}
    app.save(update_fields=["policy"])
    page = page_for(app)
    found = page.post(f"/api-auth/keys/{key.pk}/impact", {"action": "revoke"}, headers=ORIGIN).json()["data"]
    assert found["blocked"] == 3
    assert not {"addresses", "address_count"} & found.keys()
    refused = page.post(f"/api-auth/keys/{key.pk}/impact", {"allowed_cidrs": "203.0.113.9"}, headers=ORIGIN)
    assert (refused.status_code, refused.json()["details"]["missing"]) == (403, "see_addresses")
