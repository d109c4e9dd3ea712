"""A policy in force: at once for what is done from now on, from a chosen moment on for the keys that it finds."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from apiauth.core.actor import Actor
from apiauth.core.errors import ChangedMeanwhile, Invalid, NotFound, Unprocessable
from apiauth.core.events import Event
from apiauth.core.policy import Policy, read_policy
from apiauth.models import ActivityEntry, App, Key, PlannedEnd
from apiauth.services import activity, key_edits, keys, policies, policy_ends
from tests.support.races import at_once

MakeKey = Callable[..., keys.IssuedKey]
SetPolicy = Callable[..., App]
NINETY = {"expiry": {"mode": "mandatory", "longest_days": 90}}
MONTHLY = {"rotation": {"mode": "required", "every_days": 30, "when_overdue": "block"}}
WEEK = timedelta(days=7)
pytestmark = pytest.mark.django_db


@pytest.fixture
def set_policy(app: App, actor: Actor, now: datetime) -> SetPolicy:
    def put(document: dict[str, Any], **fields: Any) -> App:
        where = {"deployment_id": app.deployment_id, "slug": app.slug, "actor": actor, "now": now, **fields}
        return policies.set_policy(policy=read_policy(document), **where)

    return put


def aged(issued: keys.IssuedKey, days: int, **fields: Any) -> Key:
    """Return a key as if it had been made so many days ago."""
    created = issued.key.created_at - timedelta(days=days)
    Key.objects.filter(pk=issued.key.pk).update(created_at=created, **fields)
    issued.key.refresh_from_db()
    return issued.key


def test_a_new_app_locks_nothing(app: App) -> None:
    app.refresh_from_db()
    assert app.policy == Policy()


def test_the_log_has_what_changed_before_and_after(app: App, set_policy: SetPolicy) -> None:
    set_policy({"authority": "owner_only"})
    entry = ActivityEntry.objects.get(event=Event.APP_POLICY_CHANGED)
    assert entry.app_id == app.id
    assert entry.details["changed"]["authority.revoke_any"] == {"before": "admin", "after": "owner"}
    assert "authority.see" not in entry.details["changed"]


def test_the_same_policy_again_changes_and_records_nothing(set_policy: SetPolicy, app: App) -> None:
    assert set_policy({}).updated_at == app.updated_at
    assert not ActivityEntry.objects.filter(event=Event.APP_POLICY_CHANGED).exists()


def test_a_tighter_end_waits_for_a_chosen_moment(make_key: MakeKey, set_policy: SetPolicy, app: App) -> None:
    make_key()
    with pytest.raises(Unprocessable) as refusal:
        set_policy(NINETY)
    assert refusal.value.field == "policy_applies_at"
    assert "affects 1 key." in refusal.value.message
    app.refresh_from_db()
    assert app.policy == Policy()


def test_no_key_ends_before_the_chosen_moment(make_key: MakeKey, set_policy: SetPolicy, now: datetime) -> None:
    old, young = aged(make_key("Old"), 400), make_key("Young").key
    within = make_key("Within", expires_at=now + timedelta(days=30)).key
    set_policy(NINETY, applies_at=now + WEEK)
    for key in (old, young, within):
        key.refresh_from_db()
    assert old.expires_at == now + WEEK
    assert young.expires_at == young.created_at + timedelta(days=90)
    assert within.expires_at == now + timedelta(days=30)


def ends(*found: Key) -> list[datetime | None]:
    """Return the ends of keys as they stand now."""
    by_id = Key.objects.in_bulk([key.pk for key in found])
    return [by_id[key.pk].expires_at for key in found]


def test_each_key_that_gets_another_end_has_an_entry_of_its_own(
    make_key: MakeKey, set_policy: SetPolicy, app: App, now: datetime
) -> None:
    endless, long = make_key("Endless").key, make_key("Long", expires_at=now + timedelta(days=400)).key
    make_key("Short", expires_at=now + timedelta(days=30))
    set_policy(NINETY, applies_at=now + WEEK)
    entries = ActivityEntry.objects.filter(event=Event.KEY_EDITED)
    told = {entry.key_id: entry.details for entry in entries}
    end = (endless.created_at + timedelta(days=90)).isoformat()
    assert told[endless.pk]["changed"]["expires_at"] == {"before": None, "after": end}
    assert told[long.pk]["changed"]["expires_at"]["before"] == (now + timedelta(days=400)).isoformat()
    assert told[long.pk]["policy_applies_at"] == (now + WEEK).isoformat()
    assert len(told) == len(entries) == 2
    assert activity.verify_chain(activity.chain_name(deployment_id=None, app_id=app.pk)) is None


def test_a_policy_that_is_withdrawn_before_its_day_gives_the_ends_back(
    make_key: MakeKey, set_policy: SetPolicy, now: datetime
) -> None:
    old, long = aged(make_key("Old"), 400), make_key("Long", expires_at=now + timedelta(days=400)).key
    set_policy(NINETY, applies_at=now + WEEK)
    set_policy({}, now=now + WEEK - timedelta(microseconds=1))
    assert ends(old, long) == [None, now + timedelta(days=400)]
    latest = ActivityEntry.objects.filter(event=Event.KEY_EDITED, key_id=old.pk).order_by("sequence").last()
    assert latest is not None
    assert latest.details["changed"]["expires_at"] == {"before": (now + WEEK).isoformat(), "after": None}


def test_from_its_day_on_a_policy_gives_nothing_back(make_key: MakeKey, set_policy: SetPolicy, now: datetime) -> None:
    old, young = aged(make_key("Old"), 400), make_key("Young").key
    set_policy(NINETY, applies_at=now + WEEK)
    before = ends(old, young)
    set_policy({}, now=now + WEEK)
    assert ends(old, young) == before


def test_a_looser_policy_gives_back_as_much_as_it_allows(
    make_key: MakeKey, set_policy: SetPolicy, now: datetime
) -> None:
    old, young = aged(make_key("Old"), 400), make_key("Young").key
    long = make_key("Long", expires_at=now + timedelta(days=200)).key
    set_policy(NINETY, applies_at=now + WEEK)
    set_policy({"expiry": {"mode": "mandatory", "longest_days": 365}}, now=now + timedelta(days=1))
    a_year = young.created_at + timedelta(days=365)
    assert ends(old, young, long) == [now + WEEK, a_year, now + timedelta(days=200)]
    set_policy({}, now=now + timedelta(days=2))
    assert ends(old, young, long) == [None, None, now + timedelta(days=200)]


def test_what_comes_back_is_the_end_from_before_the_first_of_two_policies(
    make_key: MakeKey, set_policy: SetPolicy, now: datetime
) -> None:
    key = make_key(expires_at=now + timedelta(days=400)).key
    set_policy(NINETY, applies_at=now + WEEK)
    set_policy({"expiry": {"mode": "mandatory", "longest_days": 30}}, applies_at=now + 2 * WEEK)
    assert ends(key) == [key.created_at + timedelta(days=30)]
    set_policy({})
    assert ends(key) == [now + timedelta(days=400)]


def test_an_end_that_somebody_chose_meanwhile_stays(
    make_key: MakeKey, set_policy: SetPolicy, app: App, actor: Actor, now: datetime
) -> None:
    key, chosen = make_key().key, now + timedelta(days=20)
    set_policy(NINETY, applies_at=now + WEEK)
    key_edits.edit_key(app_id=app.id, key_id=key.id, changes={"expires_at": chosen}, actor=actor, now=now)
    set_policy({})
    assert ends(key) == [chosen]


def test_other_changes_of_a_policy_leave_its_plan_alone(
    make_key: MakeKey, set_policy: SetPolicy, now: datetime
) -> None:
    old = aged(make_key("Old"), 400)
    set_policy(NINETY, applies_at=now + WEEK)
    set_policy({**NINETY, "authority": "owner_only"})
    assert ends(old) == [now + WEEK]
    set_policy({"authority": "owner_only"})
    assert ends(old) == [None]


def test_a_key_that_is_brought_back_has_the_end_of_the_policy_that_is_left(
    make_key: MakeKey, set_policy: SetPolicy, app: App, actor: Actor, now: datetime
) -> None:
    undo = {"revocation": {"undo_minutes": 10}}
    set_policy(undo)
    key, where = make_key().key, {"app_id": app.id, "actor": actor, "now": now}
    set_policy({**undo, **NINETY}, applies_at=now + WEEK)
    keys.revoke_key(key_id=key.id, **where)
    set_policy(undo)
    assert keys.undo_revoke(key_id=key.id, **where).expires_at is None


def test_a_key_that_is_brought_back_keeps_to_a_policy_that_came_meanwhile(
    make_key: MakeKey, set_policy: SetPolicy, app: App, actor: Actor, now: datetime
) -> None:
    undo, where = {"revocation": {"undo_minutes": 10}}, {"app_id": app.id, "actor": actor, "now": now}
    set_policy(undo)
    key = make_key().key
    keys.revoke_key(key_id=key.id, **where)
    with pytest.raises(Unprocessable):
        set_policy({**undo, **NINETY})
    set_policy({**undo, **NINETY}, applies_at=now)
    assert keys.undo_revoke(key_id=key.id, **where).expires_at == key.created_at + timedelta(days=90)


def test_a_revoke_that_could_not_be_undone_when_the_policy_came_brings_nothing_past_it(
    make_key: MakeKey, set_policy: SetPolicy, app: App, actor: Actor, now: datetime
) -> None:
    where: dict[str, Any] = {"app_id": app.id, "actor": actor, "now": now}
    key = make_key().key
    keys.revoke_key(key_id=key.id, **where)
    set_policy(NINETY)  # touches nothing that anybody has to be told of
    set_policy({"revocation": {"undo_minutes": 10}, **NINETY})
    assert keys.undo_revoke(key_id=key.id, **where).expires_at == key.created_at + timedelta(days=90)


def test_an_overlap_is_extended_no_longer_than_a_policy_that_came_meanwhile(
    make_key: MakeKey, set_policy: SetPolicy, app: App, actor: Actor, now: datetime
) -> None:
    where: dict[str, Any] = {"app_id": app.id, "actor": actor, "now": now}
    old = make_key().key
    keys.rotate_key(key_id=old.id, overlap=timedelta(days=2), **where)
    day = {"expiry": {"mode": "mandatory", "longest_days": 1}}
    set_policy(day, applies_at=now + timedelta(days=3))
    with pytest.raises(Invalid):
        keys.change_overlap(key_id=old.id, until=now + timedelta(days=20), **where)
    assert keys.change_overlap(key_id=old.id, until=now + timedelta(days=3), **where).overlap_ends_at


def test_another_day_can_be_chosen_until_the_first_has_come(
    make_key: MakeKey, set_policy: SetPolicy, now: datetime
) -> None:
    old, young = aged(make_key("Old"), 400), make_key("Young").key
    set_policy({**NINETY, **MONTHLY}, applies_at=now + WEEK)
    postponed = set_policy({**NINETY, **MONTHLY}, applies_at=now + 2 * WEEK)
    assert ends(old, young) == [now + 2 * WEEK, young.created_at + timedelta(days=90)]
    assert postponed.policy.rotation.enforced_from == now + 2 * WEEK
    again = set_policy({**NINETY, **MONTHLY}, applies_at=now + 2 * WEEK, now=now + timedelta(days=1))
    assert again.updated_at == postponed.updated_at, "nothing new was said"
    late = set_policy({**NINETY, **MONTHLY}, applies_at=now + 3 * WEEK, now=now + 2 * WEEK)
    assert late.policy.rotation.enforced_from == now + 2 * WEEK
    assert ends(old) == [now + 2 * WEEK]
    set_policy({}, now=now + 2 * WEEK)
    assert ends(old) == [now + 2 * WEEK]


def test_a_key_that_is_older_than_the_policy_lets_it_grow_can_be_ended_earlier_still(
    make_key: MakeKey, set_policy: SetPolicy, app: App, actor: Actor, now: datetime
) -> None:
    old = aged(make_key("Old"), 400)
    set_policy(NINETY, applies_at=now + WEEK)
    where: dict[str, Any] = {"app_id": app.id, "key_id": old.id, "actor": actor, "now": now}
    earlier = now + timedelta(days=2)
    assert key_edits.edit_key(changes={"expires_at": earlier}, **where).expires_at == earlier
    with pytest.raises(Invalid) as refusal:
        key_edits.edit_key(changes={"expires_at": now + timedelta(days=3)}, **where)
    assert refusal.value.message == f"This key has to end by {earlier:%Y-%m-%d %H:%M} UTC."


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("repetition", range(3))
def test_a_policy_and_many_revokes_at_once_wait_for_each_other(
    make_key: MakeKey, set_policy: SetPolicy, app: App, actor: Actor, now: datetime, repetition: int
) -> None:
    made = [make_key(f"Key {number}").key.id for number in range(6)]
    where: dict[str, Any] = {"app_id": app.id, "actor": actor, "now": now + timedelta(seconds=1)}
    acts: list[Callable[[], object]] = [partial(keys.revoke_key, key_id=key_id, **where) for key_id in made]
    acts.append(partial(set_policy, NINETY, applies_at=now + WEEK))
    assert at_once(acts, refusals=()) == []
    assert activity.verify_chain(activity.chain_name(deployment_id=None, app_id=app.pk)) is None


def test_a_policy_moves_more_keys_than_it_holds_in_memory(
    make_key: MakeKey, set_policy: SetPolicy, app: App, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_ends, "BATCH", 2)
    found = [make_key(f"Key {number}").key for number in range(5)]
    set_policy(NINETY, applies_at=now + WEEK)
    assert ends(*found) == [key.created_at + timedelta(days=90) for key in found]
    set_policy({})
    assert ends(*found) == [None] * 5
    assert not PlannedEnd.objects.exists()


def test_what_has_ended_for_good_is_left_alone(
    make_key: MakeKey, set_policy: SetPolicy, app: App, actor: Actor, now: datetime
) -> None:
    revoked, replaced, disabled = (make_key(name).key for name in ("Revoked", "Replaced", "Disabled"))
    Key.objects.update(created_at=now - timedelta(minutes=20))
    long_ago = now - timedelta(minutes=10)  # nobody can take that back
    keys.revoke_key(app_id=app.id, key_id=revoked.id, actor=actor, now=long_ago)
    keys.rotate_key(app_id=app.id, key_id=replaced.id, overlap=timedelta(0), actor=actor, now=now)
    keys.disable_key(app_id=app.id, key_id=disabled.id, actor=actor, now=now)
    set_policy(NINETY, applies_at=now + WEEK)
    ends = {key.name: key.expires_at for key in Key.objects.filter(replaced_by=None)}
    assert ends["Revoked"] is None
    assert Key.objects.get(pk=replaced.id).expires_at is None
    assert ends["Disabled"] is not None, "a disabled key can be enabled again"


def test_a_looser_end_touches_no_key(make_key: MakeKey, set_policy: SetPolicy, now: datetime) -> None:
    key = make_key(expires_at=now + timedelta(days=80)).key
    set_policy(NINETY)
    set_policy({"expiry": {"mode": "mandatory", "longest_days": 365}})
    set_policy({})
    key.refresh_from_db()
    assert key.expires_at == now + timedelta(days=80)


def test_no_key_is_due_for_rotation_before_the_chosen_moment(
    make_key: MakeKey, set_policy: SetPolicy, now: datetime
) -> None:
    old, young = aged(make_key("Old"), 400), make_key("Young").key
    with pytest.raises(Unprocessable):
        set_policy(MONTHLY)
    rotation = set_policy(MONTHLY, applies_at=now + WEEK).policy.rotation
    assert old.rotation_due_at(rotation) == now + WEEK
    assert young.rotation_due_at(rotation) == young.created_at + timedelta(days=30)
    assert not Key.objects.due(rotation, now).exists()
    assert list(Key.objects.due(rotation, now + WEEK)) == [old]


def test_a_looser_rotation_keeps_the_moment_it_is_enforced_from(
    make_key: MakeKey, set_policy: SetPolicy, now: datetime
) -> None:
    aged(make_key(), 400)
    before = set_policy(MONTHLY, applies_at=now + WEEK).policy
    looser = {"rotation": {**MONTHLY["rotation"], "every_days": 60}}
    assert set_policy(looser).policy.rotation.enforced_from == before.rotation.enforced_from
    assert set_policy(before.document(), applies_at=now + 2 * WEEK).policy.rotation.enforced_from == now + 2 * WEEK
    assert set_policy({}).policy.rotation.enforced_from is None


def test_a_document_as_it_was_read_changes_nothing(set_policy: SetPolicy) -> None:
    app = set_policy({**MONTHLY, **NINETY})
    assert set_policy(app.policy.document()).updated_at == app.updated_at


def test_a_preview_lists_what_would_happen(make_key: MakeKey, app: App, now: datetime) -> None:
    old, young = aged(make_key("Old"), 400), make_key("Young").key
    make_key("Short", expires_at=now + timedelta(days=3))
    impact = policies.preview(app, read_policy({**NINETY, **MONTHLY}), applies_at=now + WEEK, now=now)
    assert impact.count() == 2
    found = {affected.key.name: (affected.ends_at, affected.due_at) for affected in impact.keys(50)}
    assert found["Old"] == (now + WEEK, now + WEEK), "neither lies before the chosen moment"
    assert found["Young"] == (young.created_at + timedelta(days=90), young.created_at + timedelta(days=30))
    old.refresh_from_db()
    assert old.expires_at is None, "a preview changes nothing"


def test_a_preview_goes_on_behind_any_key(make_key: MakeKey, app: App, now: datetime) -> None:
    for days in (0, 400, 0, 400):
        aged(make_key(), days)
    impact = policies.preview(app, read_policy({**NINETY, **MONTHLY}), applies_at=None, now=now)
    whole = list(impact.keys(50))
    assert len(whole) == 4
    for number, affected in enumerate(whole):
        assert list(impact.keys(2, before=affected.key.pk)) == whole[number + 1 : number + 3]


@pytest.mark.parametrize("days", [-1, 367])
def test_a_moment_past_or_too_far_is_refused(set_policy: SetPolicy, now: datetime, days: int) -> None:
    with pytest.raises(Invalid) as refusal:
        set_policy(NINETY, applies_at=now + timedelta(days=days))
    assert refusal.value.field == "policy_applies_at"


def test_only_the_chosen_moment_moves_the_enforcement(set_policy: SetPolicy) -> None:
    document = {"rotation": {**MONTHLY["rotation"], "enforced_from": "2031-01-01T00:00:00Z"}}
    with pytest.raises(Invalid) as refusal:
        set_policy(document)
    assert refusal.value.field == "policy.rotation.enforced_from"


def test_another_tenants_app_has_no_policy_to_set(set_policy: SetPolicy, make_deployment: Callable[..., Any]) -> None:
    with pytest.raises(NotFound):
        set_policy({"authority": "owner_only"}, deployment_id=make_deployment("Other").id)


def test_a_change_that_the_caller_has_not_seen_is_refused(set_policy: SetPolicy, now: datetime) -> None:
    with pytest.raises(ChangedMeanwhile):
        set_policy({"authority": "owner_only"}, seen=[now - WEEK])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("repetition", range(3))
def test_no_key_slips_past_a_policy_that_is_set_while_keys_are_made_and_rotated(
    make_key: MakeKey, set_policy: SetPolicy, app: App, actor: Actor, now: datetime, repetition: int
) -> None:
    olds = [make_key(f"Old {number}").key.id for number in range(3)]
    where = {"app_id": app.id, "actor": actor, "now": now + timedelta(seconds=1)}
    acts: list[Callable[[], object]] = [partial(keys.create_key, name="New", **where) for _ in range(3)]
    acts += [partial(keys.rotate_key, key_id=key_id, overlap=WEEK, **where) for key_id in olds]
    acts.append(partial(set_policy, NINETY, applies_at=now + WEEK))

    assert at_once(acts, refusals=(Invalid,)) == []  # a key without an end, once the policy is there
    found = list(Key.objects.in_app(app.id))
    assert len([key for key in found if key.replaced_by_id]) == 3
    assert all(key.expires_at and key.expires_at <= key.created_at + timedelta(days=90) for key in found)
