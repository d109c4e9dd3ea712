"""What an auditor asks of an app's keys: which of them deserve a look, and why."""

import csv
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from apiauth.core.events import Event
from apiauth.core.policy import read_policy
from apiauth.core.scope import Owner
from apiauth.models import App, Key, KeyUsage
from apiauth.models.activity import ActivityEntry
from apiauth.services import compliance, exports, keys, policies, subjects
from apiauth.services.compliance import Finding
from tests.conftest import ACTOR

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def sound_key(make_key: Callable[..., keys.IssuedKey], now: datetime) -> Callable[..., Key]:
    """Make a key that nothing is to be said of, but for what differs."""

    def make(*, used_at: datetime | None = now, **fields: object) -> Key:
        values = {"expires_at": now + 60 * DAY, "allowed_cidrs": ["192.0.2.0/24"], "permissions": ["routes:read"]}
        key = make_key(**{**values, **fields}).key
        if used_at is not None:
            KeyUsage.objects.create(
                key_id=key.pk, app_id=key.app_id, last_used_at=used_at, method="GET", path="/", allowed=True
            )
        return key

    return make


def counted(app: App, now: datetime) -> dict[Finding, int]:
    review = compliance.review(keys=Key.objects.in_app(app.pk), now=now)
    return {finding: count for finding, count in review.counts.items() if count}


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        ({}, None),
        ({"expires_at": None}, Finding.NO_EXPIRY),
        ({"allowed_cidrs": []}, Finding.ANY_ADDRESS),
        ({"allowed_cidrs": ["0.0.0.0/0", "::/0"]}, Finding.ANY_ADDRESS),
        ({"allowed_cidrs": ["192.0.2.0/24", "0.0.0.0/0"]}, Finding.ANY_ADDRESS),
        ({"allowed_cidrs": ["::/0"]}, Finding.ANY_ADDRESS),
        ({"allowed_cidrs": ["::ffff:0:0/96"]}, Finding.ANY_ADDRESS),
        ({"allowed_cidrs": ["0.0.0.0/1"]}, None),
        ({"permissions": ["routes:read", "routes:write"]}, Finding.WIDE_PERMISSIONS),
    ],
)
def test_a_key_is_found_by_what_it_may(
    app: App, sound_key: Callable[..., Key], now: datetime, fields: dict, finding: Finding | None
) -> None:
    key = sound_key(**fields)
    assert counted(app, now) == ({finding: 1} if finding else {})
    assert compliance.findings_of(key, now=now) == ([finding] if finding else [])


@pytest.mark.parametrize(
    ("catalogue", "held", "is_wide"),
    [
        (1, 1, False),
        (2, 1, False),
        (2, 2, True),
        (4, 3, False),
        (4, 4, True),
        (5, 3, False),
        (5, 4, True),
        (200, 159, False),
        (200, 160, True),
    ],
)
def test_a_key_is_wide_that_holds_four_fifths_of_a_catalogue_of_two_or_more(
    app: App, sound_key: Callable[..., Key], now: datetime, catalogue: int, held: int, is_wide: bool
) -> None:
    names = [f"p{number:03}" for number in range(catalogue)]
    App.objects.filter(pk=app.pk).update(permissions=names)
    sound_key(permissions=names[:held])
    assert counted(app, now) == ({Finding.WIDE_PERMISSIONS: 1} if is_wide else {})


def test_what_the_app_no_longer_names_makes_no_key_wide(app: App, sound_key: Callable[..., Key], now: datetime) -> None:
    App.objects.filter(pk=app.pk).update(permissions=["a", "b", "c", "d", "e"])
    key = sound_key(permissions=["a", "b", "c", "d"])
    App.objects.filter(pk=app.pk).update(permissions=["a", "b", "c", "x", "y"])
    assert compliance.findings_of(key, now=now) == []


def test_a_key_is_unused_after_ninety_days(app: App, sound_key: Callable[..., Key], now: datetime) -> None:
    sound_key(used_at=now - 90 * DAY)
    assert counted(app, now) == {}
    assert counted(app, now + timedelta(seconds=1)) == {Finding.UNUSED: 1}


def test_a_new_key_has_a_week_until_it_counts_as_never_used(
    app: App, sound_key: Callable[..., Key], now: datetime
) -> None:
    sound_key(used_at=None)
    assert counted(app, now + 6 * DAY) == {}
    assert counted(app, now + 8 * DAY) == {Finding.NEVER_USED: 1}


def test_an_overdue_rotation_is_found_by_the_policy_of_the_key_s_app(
    app: App, sound_key: Callable[..., Key], now: datetime
) -> None:
    sound_key(expires_at=now + 300 * DAY)
    every_month = read_policy({"rotation": {"mode": "required", "every_days": 30}})
    where = {"deployment_id": app.deployment_id, "slug": app.slug}
    policies.set_policy(**where, policy=every_month, applies_at=now + 40 * DAY, actor=ACTOR, now=now)
    assert counted(app, now + 39 * DAY) == {}
    assert counted(app, now + 40 * DAY) == {Finding.ROTATION_OVERDUE: 1}


def test_nothing_is_said_of_keys_that_have_ended_or_been_replaced(
    app: App, sound_key: Callable[..., Key], now: datetime
) -> None:
    wide = {"expires_at": None, "allowed_cidrs": []}
    revoked, rotated = sound_key(**wide), sound_key(**wide)
    keys.revoke_key(app_id=app.pk, key_id=revoked.pk, actor=ACTOR, now=now)
    keys.rotate_key(app_id=app.pk, key_id=rotated.pk, overlap=DAY, actor=ACTOR, now=now)
    review = compliance.review(keys=Key.objects.in_app(app.pk), now=now)
    assert (review.keys, review.counts[Finding.NO_EXPIRY]) == (1, 1)


def test_the_keys_behind_a_number_are_listed_with_their_app_and_use(
    app: App, sound_key: Callable[..., Key], now: datetime, django_assert_num_queries: Callable
) -> None:
    first, second = sound_key(expires_at=None), sound_key(expires_at=None, used_at=None)
    with django_assert_num_queries(1):
        found = list(compliance.found_keys(keys=Key.objects.in_app(app.pk), finding=Finding.NO_EXPIRY, now=now))
        assert [(key.pk, key.app.name) for key in found] == [(first.pk, app.name), (second.pk, app.name)]
        assert found[0].usage.method == "GET"


def remove(app: App, subject_id: str, at: datetime) -> None:
    where = {"deployment_id": app.deployment_id, "slug": app.slug}
    subjects.remove_subject(**where, subject_id=subject_id, actor=ACTOR, now=at)


def test_a_key_whose_owner_was_removed_is_found_and_a_rotation_hides_nothing(
    app: App, sound_key: Callable[..., Key], now: datetime
) -> None:
    key = sound_key(owner=Owner("u_1"), now=now)
    sound_key(owner=Owner("u_2"))
    remove(app, "u_1", now)
    assert counted(app, now) == {Finding.OWNER_GONE: 1}
    later = now + timedelta(hours=1)
    successor = keys.rotate_key(app_id=app.pk, key_id=key.pk, overlap=timedelta(0), actor=ACTOR, now=later).key
    assert Finding.OWNER_GONE in compliance.findings_of(successor, now=later)


def test_a_key_of_an_owner_who_came_back_is_theirs(app: App, sound_key: Callable[..., Key], now: datetime) -> None:
    old = sound_key(owner=Owner("u_1"), now=now)
    remove(app, "u_1", now)
    fresh = sound_key(owner=Owner("u_1"), now=now + timedelta(minutes=1))
    assert compliance.findings_of(old, now=now) == [Finding.OWNER_GONE]
    assert compliance.findings_of(fresh, now=now + timedelta(minutes=2)) == []


def test_an_export_says_everything_of_each_key_and_is_on_record(
    app: App, sound_key: Callable[..., Key], now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compliance, "AT_ONCE", 2)
    sound_key()
    wide = [sound_key(name=name, expires_at=None, allowed_cidrs=[]) for name in ("=cmd()", "b", "c")]
    where = {"keys": Key.objects.in_app(app.pk), "deployment_id": app.deployment_id, "app_id": app.pk}
    lines = list(csv.DictReader(exports.export_compliance(**where, finding=None, actor=ACTOR, now=now)))
    assert [(line["key_id"], line["findings"]) for line in lines] == [
        (str(key.pk), "no_expiry any_address") for key in wide
    ]
    assert lines[0]["name"] == "'=cmd()"
    assert not any(key.digest.hex() in str(lines) for key in wide)
    entry = ActivityEntry.objects.get(event=Event.COMPLIANCE_EXPORTED)
    assert (entry.app_id, entry.details) == (app.pk, {"finding": "any"})
    only = csv.DictReader(exports.export_compliance(**where, finding=Finding.UNUSED, actor=ACTOR, now=now))
    assert list(only) == []
