"""Which keys a policy would touch: asked by the product's backend before, and told where it chose no moment."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.models import App, Deployment, Key
from apiauth.services.keys import IssuedKey
from tests.support.rows import every_row

pytestmark = pytest.mark.django_db
MakeKey = Callable[..., IssuedKey]
JSON = "application/json"
APP = "/api-auth/apps/aa_1"
NINETY = {"expiry": {"mode": "mandatory", "longest_days": 90}}
MONTHLY = {"rotation": {"mode": "required", "every_days": 30}}
WEEK = timedelta(days=7)


def ask(backend: Client, policy: Any = NINETY, *, query: str = "", app: str = APP, **fields: Any) -> Any:
    return backend.post(f"{app}/policy/impact{query}", {"policy": policy, **fields}, content_type=JSON)


def patch(backend: Client, policy: Any = NINETY, **fields: Any) -> Any:
    return backend.patch(APP, {"policy": policy, **fields}, content_type=JSON)


def read(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def aged(issued: IssuedKey, days: int) -> Key:
    """Return a key as if it had been made so many days ago."""
    Key.objects.filter(pk=issued.key.pk).update(created_at=issued.key.created_at - timedelta(days=days))
    issued.key.refresh_from_db()
    return issued.key


@pytest.fixture
def five(make_key: MakeKey) -> list[str]:
    """The ids of five keys without an end, the newest first."""
    made = [make_key(f"Key {number}").key.pk for number in range(5)]
    return [str(pk) for pk in sorted(made, reverse=True)]


def test_200_for_a_policy_that_affects_no_key(backend: Client, make_key: MakeKey, now: datetime) -> None:
    make_key(expires_at=now + WEEK)
    answer = ask(backend)
    assert answer.status_code == 200
    page = answer.json()
    assert (page["total"], page["data"], page["has_more"], page["next_cursor"]) == (0, [], False, None)


def test_what_is_told_is_what_comes_true_and_asking_changes_nothing(
    backend: Client, app: App, make_key: MakeKey, now: datetime
) -> None:
    for name, days in (("Old", 400), ("Young", 1)):
        aged(make_key(name), days)
    short = aged(make_key("Short", expires_at=now + timedelta(days=20)), 40)
    asked = {"policy": {**NINETY, **MONTHLY}, "policy_applies_at": (now + WEEK).isoformat()}
    rows = every_row(but=("apiauth_backendkey",))  # when it was last used
    told = ask(backend, **asked).json()
    assert every_row(but=("apiauth_backendkey",)) == rows
    assert told["total"] == len(told["data"]) == 3
    assert read(told["policy_applies_at"]) == now + WEEK

    assert patch(backend, **asked).status_code == 200
    app.refresh_from_db()
    for entry in told["data"]:
        key = Key.objects.get(pk=entry["id"])
        assert entry["name"] == key.name
        assert read(entry["expires_at"]) == (None if key == short else key.expires_at)
        assert read(entry["rotation_due_at"]) == key.rotation_due_at(app.policy.rotation)


def test_a_policy_that_affects_keys_only_by_rotation_tells_no_end(
    backend: Client, make_key: MakeKey, now: datetime
) -> None:
    old = aged(make_key("Old"), 400)
    make_key("Young")
    page = ask(backend, MONTHLY, policy_applies_at=(now + WEEK).isoformat()).json()
    (entry,) = page["data"]
    assert (page["total"], entry["id"], entry["expires_at"]) == (1, str(old.pk), None)
    assert read(entry["rotation_due_at"]) == now + WEEK


def test_a_rotation_that_stays_as_it_is_is_not_told(backend: Client, make_key: MakeKey) -> None:
    assert patch(backend, MONTHLY).status_code == 200
    make_key()
    (entry,) = ask(backend, {**NINETY, **MONTHLY}).json()["data"]
    assert entry["expires_at"] is not None
    assert entry["rotation_due_at"] is None


def test_a_list_of_exactly_one_page_has_no_other(backend: Client, five: list[str]) -> None:
    page = ask(backend, query="?limit=5").json()
    assert [entry["id"] for entry in page["data"]] == five
    assert (page["total"], page["limit"], page["has_more"], page["next_cursor"]) == (5, 5, False, None)


def test_pages_follow_each_other_though_a_key_is_made_meanwhile(
    backend: Client, five: list[str], make_key: MakeKey
) -> None:
    found, moments, query = [], set(), "?limit=2"
    for made_meanwhile, size in enumerate((2, 2, 1)):
        page = ask(backend, query=query).json()
        assert (page["total"], len(page["data"])) == (5 + made_meanwhile, size)
        assert page["has_more"] is (page["next_cursor"] is not None) is (size == 2)
        found += [entry["id"] for entry in page["data"]]
        moments.add(page["policy_applies_at"])
        query = f"?limit=2&cursor={page['next_cursor']}"
        make_key("Made meanwhile")
    assert found == five
    assert len(moments) == 1, "every page tells of the moment of the first"


@pytest.mark.parametrize(
    ("policy", "fields", "named"),
    [
        ({"colour": {}}, {}, "policy"),
        ({"expiry": {"mode": "mandatory", "longest_days": 0}}, {}, "policy.expiry.longest_days"),
        ({"authority": "anarchy"}, {}, "policy.authority"),
        ({"rotation": {**MONTHLY["rotation"], "enforced_from": "2031-01-01T00:00:00Z"}}, {}, "policy.rotation."),
        (None, {}, "policy"),
        (NINETY, {"policy_applies_at": "tomorrow"}, "policy_applies_at"),
        (NINETY, {"policy_applies_at": "2020-01-01T00:00:00Z"}, "policy_applies_at"),
        (NINETY, {"policy_applies_at": "2999-01-01T00:00:00Z"}, "policy_applies_at"),
        (NINETY, {"policy_applies_at": 7}, "policy_applies_at"),
    ],
)
def test_400_for_what_setting_the_policy_would_refuse(
    backend: Client, app: App, policy: Any, fields: dict[str, Any], named: str
) -> None:
    answer = ask(backend, policy, **fields)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"].startswith(named)


def test_what_a_looser_policy_would_give_back_is_counted(backend: Client, make_key: MakeKey, now: datetime) -> None:
    endless, short = make_key("Endless").key, make_key("Short", expires_at=now + WEEK).key
    assert ask(backend, policy={}).json()["ends_given_back"] == 0
    assert patch(backend, policy=NINETY, policy_applies_at=(now + WEEK).isoformat()).status_code == 200
    told = ask(backend, policy={}).json()
    assert (told["ends_given_back"], told["total"]) == (1, 0)
    assert patch(backend, policy={}).status_code == 200
    for key in (endless, short):
        key.refresh_from_db()
    assert (endless.expires_at, short.expires_at) == (None, now + WEEK)


def test_400_for_a_cursor_of_another_list(
    backend: Client, five: list[str], make_app: Callable[..., App], make_key: MakeKey, now: datetime
) -> None:
    other = make_app("aa_2", key_prefix="ac_live")
    make_key(in_app=other)
    query = f"?cursor={ask(backend, query='?limit=2').json()['next_cursor']}"
    assert ask(backend, query=query).status_code == 200
    lists: list[dict[str, Any]] = [
        {"app": "/api-auth/apps/aa_2"},
        {"policy": {**NINETY, **MONTHLY}},
        {"policy_applies_at": (now + WEEK).isoformat()},
    ]
    for asked in lists:
        answer = ask(backend, query=query, **asked)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "cursor")


def test_404_for_an_app_of_another_deployment(
    backend: Client, make_app: Callable[..., App], make_deployment: Callable[..., Deployment]
) -> None:
    make_app("aa_9", in_deployment=make_deployment("Other"))
    assert ask(backend, app="/api-auth/apps/aa_9").status_code == 404


def test_422_names_the_newest_keys_as_if_the_policy_applied_now(
    backend: Client, make_key: MakeKey, now: datetime
) -> None:
    young = make_key("Young").key
    old = aged(make_key("Old"), 400)
    answer = patch(backend, {**NINETY, **MONTHLY})
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "unprocessable"
    assert problem["errors"] == [{"message": problem["message"], "code": 422, "field": "policy_applies_at"}]
    assert problem["details"]["policy_applies_at"] == problem["message"]
    affected = problem["details"]["affected_keys"]
    found = {entry["id"]: entry for entry in affected["data"]}
    assert affected["total"] == len(found) == 2
    assert found[str(young.pk)]["name"] == "Young"
    assert read(found[str(young.pk)]["expires_at"]) == young.created_at + timedelta(days=90)
    assert read(found[str(young.pk)]["rotation_due_at"]) == young.created_at + timedelta(days=30)
    of_old = {read(found[str(old.pk)][name]) for name in ("expires_at", "rotation_due_at")}
    (moment,) = of_old
    assert moment is not None
    assert timedelta(0) <= moment - now < timedelta(minutes=10)


def test_422_names_twenty_keys_and_counts_all(backend: Client, make_key: MakeKey) -> None:
    made = sorted((make_key(f"Key {number}").key.pk for number in range(21)), reverse=True)
    affected = patch(backend).json()["details"]["affected_keys"]
    assert affected["total"] == 21
    assert [entry["id"] for entry in affected["data"]] == [str(pk) for pk in made[:20]]
