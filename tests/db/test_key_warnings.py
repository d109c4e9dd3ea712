"""Keys that end or must be rotated soon are told of, each step once."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from apiauth.core.actor import Actor
from apiauth.core.policy import read_policy
from apiauth.models import ActivityEntry, App, Key
from apiauth.services import key_edits, key_warnings, keys

pytestmark = pytest.mark.django_db
MakeKey = Callable[..., keys.IssuedKey]
DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)
WARNINGS = ("key.expiring", "key.expired", "key.rotation_due", "key.rotation_overdue")


def told(key: Key) -> list[tuple[str, int]]:
    entries = ActivityEntry.objects.filter(key_id=key.pk, event__in=WARNINGS).order_by("sequence")
    return [(entry.event, entry.details["days"]) for entry in entries]


def tell(moment: datetime) -> int:
    return key_warnings.tell_all(now=moment, mails=False)


def test_each_step_before_an_end_is_told_once(make_key: MakeKey, now: datetime) -> None:
    end = now + 90 * DAY
    key = make_key(now=now, expires_at=end).key
    for moment in (end - 31 * DAY, end - 30 * DAY, end - 29 * DAY, end - 7 * DAY, end - DAY, end - INSTANT):
        tell(moment)
        tell(moment)
    assert told(key) == [("key.expiring", 30), ("key.expiring", 7), ("key.expiring", 1)]
    assert (tell(end), tell(end + DAY)) == (1, 0)
    assert told(key)[-1] == ("key.expired", 0)


def test_each_step_begins_at_its_very_moment(make_key: MakeKey, now: datetime) -> None:
    end = now + 90 * DAY
    make_key(now=now, expires_at=end)
    for days in (30, 7, 1, 0):
        assert tell(end - days * DAY - INSTANT) == 0
        assert tell(end - days * DAY) == 1


def test_who_was_away_is_told_the_nearest_step_alone(make_key: MakeKey, now: datetime) -> None:
    key = make_key(now=now, expires_at=now + 90 * DAY).key
    assert tell(now + 85 * DAY) == 1
    assert told(key) == [("key.expiring", 7)]
    assert tell(now + 90 * DAY + 31 * DAY) == 0  # an end so long ago is no news


def test_a_key_that_was_made_for_a_few_days_is_not_told_of_at_once(make_key: MakeKey, now: datetime) -> None:
    key = make_key(now=now, expires_at=now + 5 * DAY).key
    assert tell(now + INSTANT) == 0
    tell(now + 4 * DAY)
    assert told(key) == [("key.expiring", 1)]


def test_a_new_end_is_told_of_anew(make_key: MakeKey, app: App, actor: Actor, now: datetime) -> None:
    key = make_key(now=now, expires_at=now + 60 * DAY).key
    tell(now + 40 * DAY)
    changes = {"expires_at": now + 90 * DAY}
    key_edits.edit_key(app_id=app.pk, key_id=key.pk, changes=changes, actor=actor, now=now + 41 * DAY)
    tell(now + 50 * DAY)
    tell(now + 60 * DAY)
    assert told(key) == [("key.expiring", 30), ("key.expiring", 30)]


def test_keys_that_nobody_relies_on_are_not_told_of(make_key: MakeKey, app: App, actor: Actor, now: datetime) -> None:
    end = now + 90 * DAY
    revoked, disabled, rotated = (make_key(now=now, expires_at=end).key for _ in range(3))
    where = {"app_id": app.pk, "actor": actor, "now": now + DAY}
    keys.revoke_key(key_id=revoked.pk, **where)
    keys.disable_key(key_id=disabled.pk, **where)
    keys.rotate_key(key_id=rotated.pk, overlap=30 * DAY, **where)
    assert tell(end - 7 * DAY) == 1  # the successor alone
    rotated.refresh_from_db()
    assert told(Key.objects.get(pk=rotated.replaced_by_id)) == [("key.expiring", 7)]


def require_rotation(app: App, **more: Any) -> None:
    rotation = {"mode": "required", "every_days": 60, **more}
    App.objects.filter(pk=app.pk).update(policy=read_policy({"rotation": rotation}))


def test_rotation_is_asked_for_ahead_and_missed_once(make_key: MakeKey, app: App, actor: Actor, now: datetime) -> None:
    require_rotation(app)
    key, rotated = make_key(now=now).key, make_key(now=now).key
    keys.rotate_key(app_id=app.pk, key_id=rotated.pk, actor=actor, now=now + 20 * DAY)
    for days in (29, 30, 53, 59, 60, 61, 62):
        tell(now + days * DAY)
    due = "key.rotation_due"
    assert told(key) == [(due, 30), (due, 7), (due, 1), ("key.rotation_overdue", 0)]
    assert told(rotated) == []


def test_no_key_is_told_to_be_due_before_the_policy_holds_for_it(make_key: MakeKey, app: App, now: datetime) -> None:
    key = make_key(now=now - 300 * DAY).key
    require_rotation(app, enforced_from=(now + 10 * DAY).isoformat())
    for days in (0, 3, 9, 10):
        tell(now + days * DAY)
    due = "key.rotation_due"
    assert told(key) == [(due, 30), (due, 7), (due, 1), ("key.rotation_overdue", 0)]


@pytest.mark.django_db(transaction=True)
def test_two_who_tell_at_once_tell_once(make_key: MakeKey, now: datetime) -> None:
    made = [make_key(now=now, expires_at=now + 90 * DAY).key for _ in range(5)]
    together, counts = threading.Barrier(2), []

    def run() -> None:
        together.wait(10)
        counts.append(tell(now + 85 * DAY))
        connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 5
    assert [told(key) for key in made] == [[("key.expiring", 7)]] * 5


@pytest.mark.parametrize(("seconds_longer", "is_told"), [(0, False), (1, True)])
def test_a_key_is_told_to_rotate_only_where_it_outlives_the_moment_it_is_due(
    make_key: MakeKey, app: App, now: datetime, *, seconds_longer: int, is_told: bool
) -> None:
    require_rotation(app)
    key = make_key(now=now, expires_at=now + 60 * DAY + timedelta(seconds=seconds_longer)).key
    for days in (30, 53, 59, 60):
        tell(now + days * DAY)
    rotation = [event for event, _ in told(key) if event.startswith("key.rotation")]
    assert rotation == (["key.rotation_due"] * 3 + ["key.rotation_overdue"] if is_told else [])


@pytest.mark.parametrize(("before_its_end", "is_told"), [(timedelta(seconds=1), True), (timedelta(0), False)])
def test_a_key_is_told_to_be_overdue_only_until_it_ends(
    make_key: MakeKey, app: App, now: datetime, *, before_its_end: timedelta, is_told: bool
) -> None:
    require_rotation(app)
    key = make_key(now=now, expires_at=now + 65 * DAY).key
    tell(now + 65 * DAY - before_its_end)
    assert (("key.rotation_overdue", 0) in told(key)) is is_told


def test_an_expired_key_is_not_told_to_rotate(make_key: MakeKey, app: App, now: datetime) -> None:
    require_rotation(app)
    key = make_key(now=now, expires_at=now + 20 * DAY).key
    for days in (20, 31, 45, 59, 60):
        tell(now + days * DAY)
    assert told(key) == [("key.expired", 0)]
