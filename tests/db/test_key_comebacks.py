"""What can be taken back or moved: a revoke for some minutes, the end of an overlap, what a key may do."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from apiauth.core.actor import Actor
from apiauth.core.ceiling import Ceiling
from apiauth.core.errors import ChangedMeanwhile, Conflict, Invalid, KeyNotActive, NotAllowed
from apiauth.core.scope import Owner
from apiauth.models import ActivityEntry, App, Key, KeyStatus
from apiauth.services import key_edits, keys, subjects

MakeKey = Callable[..., keys.IssuedKey]
MakeApp = Callable[..., App]
DANA = Actor(kind="subject", id="user_1", name="Dana", via="portal")
UNDO = {"revocation": {"undo_minutes": 10}}


@pytest.fixture
def app(make_app: MakeApp) -> App:
    return make_app(permissions=["routes:read", "routes:write"], policy=UNDO)


def last_entry(key: Key) -> ActivityEntry:
    return ActivityEntry.objects.filter(key_id=key.pk).latest("sequence")


def revoked(issued: keys.IssuedKey, actor: Actor, now: datetime) -> Key:
    return keys.revoke_key(app_id=issued.key.app_id, key_id=issued.key.pk, reason="leaked", actor=actor, now=now)


def undo(key: Key, actor: Actor, now: datetime, **given: Any) -> Key:
    return keys.undo_revoke(app_id=key.app_id, key_id=key.pk, actor=actor, now=now, **given)


def test_a_revoke_is_taken_back_under_the_same_secret_and_the_log_says_so(
    make_key: MakeKey, actor: Actor, now: datetime
) -> None:
    issued = make_key()
    key = revoked(issued, actor, now)
    undo(key, actor, now + timedelta(minutes=10) - timedelta(microseconds=1))
    key.refresh_from_db()
    assert key.status(now + timedelta(hours=1)) is KeyStatus.ACTIVE
    assert bytes(key.digest) == issued.secret.digest
    assert (key.revoked_reason, key.revoked_by, key.revoked_by_kind) == (None, "", "")
    entry = last_entry(key)
    assert (entry.event, entry.details["reason"]) == ("key.revoke_undone", "leaked")


def test_a_revoke_is_final_from_the_boundary_on(make_key: MakeKey, actor: Actor, now: datetime) -> None:
    key = revoked(make_key(now=now), actor, now)
    with pytest.raises(Conflict, match="has passed"):
        undo(key, actor, now + timedelta(minutes=10))


def test_a_revoke_is_final_at_once_where_the_policy_does_not_let_it_be_undone(
    make_app: MakeApp, make_key: MakeKey, actor: Actor, now: datetime
) -> None:
    key = revoked(make_key(in_app=make_app("aa_2")), actor, now)
    with pytest.raises(Conflict):
        undo(key, actor, now)
    with pytest.raises(IntegrityError, match="final"), transaction.atomic():
        Key.objects.filter(pk=key.pk).update(revoked_at=None, revoked_reason=None)


def test_the_database_itself_keeps_a_revoke_of_a_while_ago(make_key: MakeKey, actor: Actor, now: datetime) -> None:
    earlier = now - timedelta(minutes=12)
    key = revoked(make_key(now=earlier), actor, earlier)
    with pytest.raises(IntegrityError, match="final"), transaction.atomic():
        Key.objects.filter(pk=key.pk).update(revoked_at=None, revoked_reason=None)


def test_a_revoke_that_was_not_made_cannot_be_undone(make_key: MakeKey, actor: Actor, now: datetime) -> None:
    with pytest.raises(Conflict):
        undo(make_key().key, actor, now)


def test_a_user_takes_back_what_a_user_did_and_nothing_else(make_key: MakeKey, actor: Actor, now: datetime) -> None:
    theirs, of_staff = revoked(make_key(), DANA, now), revoked(make_key(), actor, now)
    undo(theirs, DANA, now)
    with pytest.raises(NotAllowed):
        undo(of_staff, DANA, now)
    undo(of_staff, actor, now)


@pytest.mark.parametrize("outlive", [True, False])
def test_no_user_brings_back_a_key_that_would_have_gone_with_its_owner(
    make_app: MakeApp, make_key: MakeKey, actor: Actor, now: datetime, outlive: bool
) -> None:
    app = make_app("aa_2", policy={**UNDO, "scope": {"keys_outlive_creator": outlive}})
    owner = Owner("bob", None, None)
    before, after = (make_key(name, in_app=app, owner=owner) for name in ("Before", "After"))
    where: dict[str, Any] = {"deployment_id": app.deployment_id, "slug": app.slug}
    gone = revoked(before, DANA, now)
    later = now + timedelta(minutes=1)
    subjects.remove_subject(**where, subject_id="bob", actor=actor, now=later)
    since = make_key("Since", in_app=app, owner=owner)
    back = revoked(since, DANA, later + timedelta(seconds=1))
    if outlive:
        undo(gone, DANA, later)
    else:
        with pytest.raises(NotAllowed, match="was removed"):
            undo(gone, DANA, later)
        undo(gone, actor, later)  # who removed the user may have been wrong
        assert Key.objects.get(pk=after.key.pk).revoked_at is not None
    undo(back, DANA, later + timedelta(seconds=2))


def test_in_a_paused_app_a_user_ends_no_overlap_and_staff_still_do(
    make_key: MakeKey, app: App, actor: Actor, now: datetime
) -> None:
    old = make_key()
    keys.rotate_key(app_id=app.pk, key_id=old.key.pk, overlap=timedelta(days=1), actor=actor, now=now)
    App.objects.filter(pk=app.pk).update(is_active=False)
    with pytest.raises(NotAllowed, match="is paused"):
        keys.end_overlap(app_id=app.pk, key_id=old.key.pk, actor=DANA, now=now)
    assert keys.end_overlap(app_id=app.pk, key_id=old.key.pk, actor=actor, now=now).overlap_ends_at == now


def test_a_key_whose_overlap_or_time_has_ended_does_not_come_back(
    make_key: MakeKey, actor: Actor, now: datetime
) -> None:
    old = make_key()
    keys.rotate_key(app_id=old.key.app_id, key_id=old.key.pk, overlap=timedelta(minutes=5), actor=actor, now=now)
    expiring = make_key(expires_at=now + timedelta(minutes=5))
    for issued in (old, expiring):
        key = revoked(issued, actor, now)
        with pytest.raises(Conflict, match="ended meanwhile"):
            undo(key, actor, now + timedelta(minutes=5))
        undo(key, actor, now + timedelta(minutes=4))
    old.key.refresh_from_db()
    assert old.key.status(now + timedelta(minutes=4)) is KeyStatus.IN_GRACE


def test_a_cap_counts_a_key_as_long_as_any_of_its_secrets_works(
    make_key: MakeKey, app: App, actor: Actor, now: datetime
) -> None:
    where: dict[str, Any] = {"app_id": app.pk, "ceiling": Ceiling(key_cap=1), "actor": DANA, "now": now}
    first = make_key()
    second = keys.rotate_key(key_id=first.key.pk, overlap=timedelta(days=30), **where)
    revoked(second, DANA, now)
    with pytest.raises(NotAllowed, match="limit of 1 active key"):
        keys.create_key(name="Third", **where)
    keys.undo_revoke(key_id=second.key.pk, **where)
    revoked(second, DANA, now)
    keys.end_overlap(app_id=app.pk, key_id=first.key.pk, actor=DANA, now=now)
    keys.create_key(name="Third", **where)
    with pytest.raises(NotAllowed, match="limit of 1 active key"):
        keys.undo_revoke(key_id=second.key.pk, **where)


def test_neither_undo_nor_enable_lead_past_a_cap(make_key: MakeKey, app: App, actor: Actor, now: datetime) -> None:
    first, second = make_key(), make_key()
    revoked(first, DANA, now)
    keys.disable_key(app_id=app.pk, key_id=second.key.pk, actor=DANA, now=now)
    make_key()
    for deed, issued in ((keys.undo_revoke, first), (keys.enable_key, second)):
        with pytest.raises(NotAllowed, match="limit of 1 active key"):
            deed(app_id=app.pk, key_id=issued.key.pk, ceiling=Ceiling(key_cap=1), actor=DANA, now=now)


def test_an_overlap_is_extended_up_to_30_days_from_the_rotation(
    make_key: MakeKey, app: App, actor: Actor, now: datetime
) -> None:
    old = make_key().key
    keys.rotate_key(app_id=app.pk, key_id=old.pk, overlap=timedelta(days=1), actor=actor, now=now)
    where = {"app_id": app.pk, "key_id": old.pk, "actor": actor, "now": now + timedelta(hours=1)}
    over = now + timedelta(minutes=59)
    for until in (over, now + timedelta(days=30, microseconds=1), datetime(2036, 1, 1)):  # noqa: DTZ001  # what a careless caller sends
        with pytest.raises(Invalid) as refusal:
            keys.change_overlap(until=until, **where)
        assert refusal.value.field == "overlap_ends_at"
    key = keys.change_overlap(until=now + timedelta(days=30), **where)
    assert key.overlap_ends_at == now + timedelta(days=30)
    assert last_entry(key).event == "key.overlap_extended"


def test_an_overlap_is_brought_forward_and_the_log_says_from_when_to_when(
    make_key: MakeKey, app: App, actor: Actor, now: datetime
) -> None:
    old = make_key().key
    keys.rotate_key(app_id=app.pk, key_id=old.pk, overlap=timedelta(days=1), actor=actor, now=now)
    where = {"app_id": app.pk, "key_id": old.pk, "actor": actor, "now": now}
    sooner = now + timedelta(hours=2)
    key = keys.change_overlap(until=sooner, **where)
    assert key.status(sooner - timedelta(seconds=1)) is KeyStatus.IN_GRACE
    assert key.status(sooner) is KeyStatus.ROTATED_OUT
    entry = last_entry(key)
    ends = {"before": (now + timedelta(days=1)).isoformat(), "overlap_ends_at": sooner.isoformat()}
    assert (entry.event, entry.details) == ("key.overlap_shortened", {"name": key.name, **ends})
    assert keys.change_overlap(until=sooner, **where).overlap_ends_at == sooner
    assert last_entry(key).pk == entry.pk, "an end that is there already is no change"
    assert keys.change_overlap(until=now, **where).status(now) is KeyStatus.ROTATED_OUT


def test_only_what_gives_an_old_secret_longer_takes_the_permissions_that_it_has(
    make_key: MakeKey, app: App, actor: Actor, now: datetime
) -> None:
    old = make_key(permissions=["routes:read", "routes:write"]).key
    keys.rotate_key(app_id=app.pk, key_id=old.pk, overlap=timedelta(days=1), actor=actor, now=now)
    where = {"app_id": app.pk, "key_id": old.pk, "actor": actor, "now": now}
    narrow = Ceiling(permissions=frozenset(["routes:read"]))
    with pytest.raises(NotAllowed, match="routes:write"):
        keys.change_overlap(until=now + timedelta(days=2), ceiling=narrow, **where)
    assert keys.change_overlap(until=now + timedelta(hours=1), ceiling=narrow, **where).updated_at == now


def test_an_overlap_is_not_extended_beyond_the_end_of_the_key_itself_nor_once_it_is_over(
    make_key: MakeKey, app: App, actor: Actor, now: datetime
) -> None:
    old = make_key(expires_at=now + timedelta(days=2)).key
    keys.rotate_key(app_id=app.pk, key_id=old.pk, overlap=timedelta(days=1), actor=actor, now=now)
    where = {"app_id": app.pk, "key_id": old.pk, "actor": actor}
    with pytest.raises(Invalid):
        keys.change_overlap(until=now + timedelta(days=3), now=now, **where)
    with pytest.raises(Conflict):
        keys.change_overlap(until=now + timedelta(days=2), now=now + timedelta(days=1), **where)


def edit(key: Key, actor: Actor, now: datetime, ceiling: Ceiling | None = None, **changes: Any) -> Key:
    where = {"app_id": key.app_id, "key_id": key.pk, "actor": actor, "now": now}
    return key_edits.edit_key(changes=changes, **where, **({"ceiling": ceiling} if ceiling else {}))


def test_an_edit_writes_what_changed_and_nothing_where_nothing_did(
    make_key: MakeKey, actor: Actor, now: datetime
) -> None:
    key = make_key(permissions=["routes:read"], metadata={"team": "blue", "tier": 1}).key
    edit(key, actor, now, name="CI", permissions=["routes:write"], metadata={"team": "secret-ish", "tier": 1})
    entry = last_entry(key)
    assert entry.details["changed"] == {
        "name": {"before": "Billing worker", "after": "CI"},
        "permissions": {"before": ["routes:read"], "after": ["routes:write"]},
        "metadata": {"names": ["team"]},
    }
    edit(key, actor, now, name="CI")
    assert last_entry(key) == entry


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", " "), ("permissions", ["routes:none"]), ("allowed_cidrs", ["no"]), ("metadata", {"scopes": []})],
)
def test_an_edit_with_a_bad_value_changes_nothing(
    make_key: MakeKey, actor: Actor, now: datetime, field: str, value: object
) -> None:
    key = make_key().key
    with pytest.raises(Invalid) as refusal:
        edit(key, actor, now, **{"note": "new", field: value})
    assert (refusal.value.field or "").startswith(field)
    key.refresh_from_db()
    assert key.note == ""


def test_an_edit_keeps_the_end_within_the_policy_counted_from_when_the_key_was_made(
    make_app: MakeApp, make_key: MakeKey, actor: Actor, now: datetime
) -> None:
    app = make_app("aa_2", policy={"expiry": {"mode": "mandatory", "longest_days": 30}})
    key = make_key(in_app=app, now=now, expires_at=now + timedelta(days=5)).key
    later = now + timedelta(days=4)
    for end in (None, now + timedelta(days=30, microseconds=1), later):
        with pytest.raises(Invalid) as refusal:
            edit(key, actor, later, expires_at=end)
        assert refusal.value.field == "expires_at"
    assert edit(key, actor, later, expires_at=now + timedelta(days=30)).expires_at == now + timedelta(days=30)


def test_a_ceiling_bounds_what_is_added_and_lets_be_taken_away(make_key: MakeKey, actor: Actor, now: datetime) -> None:
    ceiling = Ceiling(permissions=frozenset({"routes:read"}), longest_expiry_days=10)
    key = make_key(permissions=["routes:write"]).key
    edit(key, DANA, now, ceiling, permissions=["routes:read", "routes:write"], expires_at=now + timedelta(days=60))
    edit(key, DANA, now, ceiling, permissions=["routes:read"], expires_at=now + timedelta(days=50))
    for change in ({"permissions": ["routes:write"]}, {"expires_at": now + timedelta(days=51)}, {"expires_at": None}):
        with pytest.raises((NotAllowed, Invalid)):
            edit(key, DANA, now, ceiling, **change)


def test_a_key_that_has_ended_is_not_edited(make_key: MakeKey, actor: Actor, now: datetime) -> None:
    over, expired = make_key(), make_key(expires_at=now + timedelta(hours=1))
    revoked(over, actor, now)
    for issued in (over, expired):
        with pytest.raises(KeyNotActive):
            edit(issued.key, actor, now + timedelta(hours=1), name="CI")


def test_an_edit_of_what_was_changed_meanwhile_is_refused(make_key: MakeKey, actor: Actor, now: datetime) -> None:
    key = make_key().key
    where = {"app_id": key.app_id, "key_id": key.pk, "actor": actor, "now": now + timedelta(seconds=1)}
    seen = [key.updated_at]
    key_edits.edit_key(changes={"name": "CI"}, seen=seen, **where)
    with pytest.raises(ChangedMeanwhile):
        key_edits.edit_key(changes={"name": "CD"}, seen=seen, **where)


def test_a_catalogue_that_shrank_leaves_a_key_what_it_has(
    make_key: MakeKey, app: App, actor: Actor, now: datetime
) -> None:
    key = make_key(permissions=["routes:read", "routes:write"]).key
    App.objects.filter(pk=app.pk).update(permissions=["routes:read"])
    edit(key, replace(actor, kind="staff"), now, permissions=["routes:write"])
    with pytest.raises(Invalid):
        edit(key, actor, now, permissions=["routes:write", "routes:gone"])
