"""Rate-limit schemes of the backend API, by outcome."""

import pytest
from django.test import Client

from apiauth.models import App, RateLimitScheme

JSON = "application/json"
SCHEMES = "/api-auth/rate-limit-schemes"
RULE = {"unit": "minute", "duration": 1, "max_requests": 60}
NEW_SCHEME = {"slug": "basic", "name": "Basic", "rules": [RULE]}


def test_200_with_the_scheme_when_one_is_created(backend: Client) -> None:
    answer = backend.post(SCHEMES, {**NEW_SCHEME, "description": "For trials"}, content_type=JSON).json()
    assert isinstance(answer["id"], str)
    assert isinstance(answer["deployment_id"], str)
    (rule,) = answer["rules"]
    assert {**RULE, "mode": "per_app", "priority": 0, "id": rule["id"]} == rule
    assert backend.get(SCHEMES).json() == {"schemes": [answer], "total": 1}
    assert backend.get(f"{SCHEMES}/basic").json() == answer


def test_a_rule_sent_back_keeps_its_id(backend: Client) -> None:
    made = backend.post(SCHEMES, NEW_SCHEME, content_type=JSON).json()
    rules = [{**made["rules"][0], "max_requests": 90}, {**RULE, "endpoints": ["/v1/a"], "mode": "per_key"}]
    changed = backend.patch(f"{SCHEMES}/basic", {"rules": rules}, content_type=JSON).json()
    assert changed["rules"][0]["id"] == made["rules"][0]["id"]
    assert changed["rules"][1]["endpoints"] == ["/v1/a"]
    assert changed["name"] == "Basic"


MONTH = {"unit": "calendar_month", "duration": 1, "max_requests": 3}
SAME_LIMIT: dict[str, dict[str, object]] = {
    "as it was": {},
    "another number": {"max_requests": 4},
    "another place in the order": {"priority": 3},
    "the default mode named": {"mode": "per_app"},
    "the same window in another unit": {"unit": "month"},
}
ANOTHER_LIMIT: dict[str, dict[str, object]] = {
    "another unit": {"unit": "calendar_day"},
    "another mode": {"mode": "per_key"},
    "some paths alone": {"endpoints": ["/v1/a"]},
    "an id of its own": {"id": "mine"},
}


@pytest.mark.parametrize("change", SAME_LIMIT.values(), ids=SAME_LIMIT)
def test_a_limit_that_comes_again_without_its_id_keeps_it(backend: Client, change: dict[str, object]) -> None:
    made = backend.post(SCHEMES, {**NEW_SCHEME, "rules": [MONTH]}, content_type=JSON).json()
    changed = backend.patch(f"{SCHEMES}/basic", {"rules": [RULE, {**MONTH, **change}]}, content_type=JSON).json()
    (again,) = [rule for rule in changed["rules"] if rule["unit"] != "minute"]
    assert again == {**made["rules"][0], **change}


@pytest.mark.parametrize("change", ANOTHER_LIMIT.values(), ids=ANOTHER_LIMIT)
def test_another_limit_gets_an_id_of_its_own(backend: Client, change: dict[str, object]) -> None:
    made = backend.post(SCHEMES, {**NEW_SCHEME, "rules": [MONTH]}, content_type=JSON).json()
    (other,) = backend.patch(f"{SCHEMES}/basic", {"rules": [{**MONTH, **change}]}, content_type=JSON).json()["rules"]
    assert other["id"] != made["rules"][0]["id"]
    assert other["id"] == change.get("id", other["id"])


def test_of_two_limits_of_one_window_each_keeps_its_id_and_a_third_gets_its_own(backend: Client) -> None:
    made = backend.post(SCHEMES, {**NEW_SCHEME, "rules": [RULE, {**RULE, "max_requests": 9}]}, content_type=JSON).json()
    ids = {rule["max_requests"]: rule["id"] for rule in made["rules"]}
    sent = [{**RULE, "max_requests": 8}, {**RULE, "max_requests": 9}, RULE]
    changed = backend.patch(f"{SCHEMES}/basic", {"rules": sent}, content_type=JSON).json()
    after = {rule["max_requests"]: rule["id"] for rule in changed["rules"]}
    assert (after[60], after[9]) == (ids[60], ids[9])
    assert after[8] not in ids.values()


def test_an_id_that_is_sent_belongs_to_the_rule_that_names_it(backend: Client) -> None:
    made = backend.post(SCHEMES, {**NEW_SCHEME, "rules": [RULE]}, content_type=JSON).json()
    known = made["rules"][0]["id"]
    sent = [RULE, {**RULE, "unit": "hour", "id": known}]
    changed = backend.patch(f"{SCHEMES}/basic", {"rules": sent}, content_type=JSON).json()
    assert [rule["id"] == known for rule in changed["rules"]] == [False, True]


def test_patch_tells_null_from_absent(backend: Client) -> None:
    backend.post(SCHEMES, {**NEW_SCHEME, "description": "For trials"}, content_type=JSON)
    assert backend.patch(f"{SCHEMES}/basic", {"name": "Still"}, content_type=JSON).json()["description"] == "For trials"
    assert backend.patch(f"{SCHEMES}/basic", {"description": None}, content_type=JSON).json()["description"] is None
    assert backend.patch(f"{SCHEMES}/basic", {"rules": None}, content_type=JSON).status_code == 400


def test_409_when_the_slug_is_taken(backend: Client) -> None:
    backend.post(SCHEMES, NEW_SCHEME, content_type=JSON)
    assert backend.post(SCHEMES, NEW_SCHEME, content_type=JSON).status_code == 409


def test_204_when_deleted_and_400_while_an_app_uses_it(backend: Client, app: App) -> None:
    backend.post(SCHEMES, NEW_SCHEME, content_type=JSON)
    backend.patch(f"/api-auth/apps/{app.slug}", {"rate_limit_scheme_slug": "basic"}, content_type=JSON)
    assert backend.delete(f"{SCHEMES}/basic").status_code == 400
    backend.patch(f"/api-auth/apps/{app.slug}", {"rate_limit_scheme_slug": None}, content_type=JSON)
    response = backend.delete(f"{SCHEMES}/basic")
    assert (response.status_code, response.content) == (204, b"")
    assert backend.get(f"{SCHEMES}/basic").status_code == 404


BAD_RULES: dict[str, tuple[object, str]] = {
    "no rules": ([], "rules"),
    "rules as an object": ({}, "rules"),
    "rule as a text": (["60/60s"], "rules[0]"),
    "no limit": ([{"unit": "minute", "duration": 1}], "rules[0].max_requests"),
    "limit 0": ([{**RULE, "max_requests": 0}], "rules[0].max_requests"),
    "limit -1": ([{**RULE, "max_requests": -1}], "rules[0].max_requests"),
    "limit 2^31": ([{**RULE, "max_requests": 2**31}], "rules[0].max_requests"),
    "limit 1.5": ([{**RULE, "max_requests": 1.5}], "rules[0].max_requests"),
    "limit as a text": ([{**RULE, "max_requests": "60"}], "rules[0].max_requests"),
    "limit as a flag": ([{**RULE, "max_requests": True}], "rules[0].max_requests"),
    "window 0": ([{**RULE, "duration": 0}], "rules[0].duration"),
    "window of ten years": ([{**RULE, "unit": "day", "duration": 3650}], "rules[0].duration"),
    "two calendar months": ([{**RULE, "unit": "calendar_month", "duration": 2}], "rules[0].duration"),
    "unit unknown": ([{**RULE, "unit": "fortnight"}], "rules[0].unit"),
    "unit as a list": ([{**RULE, "unit": []}], "rules[0].unit"),
    "mode unknown": ([{**RULE, "mode": "per_planet"}], "rules[0].mode"),
    "endpoints as a text": ([{**RULE, "endpoints": "/v1"}], "rules[0].endpoints"),
    "endpoint without a slash": ([{**RULE, "endpoints": ["v1"]}], "rules[0].endpoints[0]"),
    "endpoint that climbs": ([{**RULE, "endpoints": ["/a/../b"]}], "rules[0].endpoints[0]"),
    "no endpoints": ([{**RULE, "endpoints": []}], "rules[0].endpoints"),
    "endpoint that climbs in disguise": ([{**RULE, "endpoints": ["/a/%2e%2e/b"]}], "rules[0].endpoints[0]"),
    "mode as nothing": ([{**RULE, "mode": ""}], "rules[0].mode"),
    "priority as an object": ([{**RULE, "priority": {}}], "rules[0].priority"),
    "priority as a flag": ([{**RULE, "priority": False}], "rules[0].priority"),
    "priority beyond the bound": ([{**RULE, "priority": 1001}], "rules[0].priority"),
    "a field that no rule has": ([{**RULE, "key_id": "1"}], "rules[0]"),
    "an id of 65 characters": ([{**RULE, "id": "a" * 65}], "rules[0].id"),
    "21 rules": ([RULE] * 21, "rules"),
    "one id twice": ([{**RULE, "id": "a"}, {**RULE, "id": "a"}], "rules[1].id"),
}


@pytest.mark.parametrize(("rules", "field"), BAD_RULES.values(), ids=BAD_RULES)
def test_400_that_names_the_rule_and_its_field(backend: Client, rules: object, field: str) -> None:
    response = backend.post(SCHEMES, {**NEW_SCHEME, "rules": rules}, content_type=JSON)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, field), response.content
    assert not RateLimitScheme.objects.exists()
    made = backend.post(SCHEMES, NEW_SCHEME, content_type=JSON).json()
    response = backend.patch(f"{SCHEMES}/basic", {"rules": rules}, content_type=JSON)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, field), response.content
    assert backend.get(f"{SCHEMES}/basic").json() == made


def test_two_rules_of_one_window_are_two_rules(backend: Client) -> None:
    answer = backend.post(SCHEMES, {**NEW_SCHEME, "rules": [RULE, RULE]}, content_type=JSON).json()
    first, second = answer["rules"]
    assert first["id"] != second["id"]
