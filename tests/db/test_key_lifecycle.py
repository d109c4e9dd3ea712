"""Create, rotate, disable and revoke, as every door sees them."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from django.db import IntegrityError, connection, connections, transaction

from apiauth.core.actor import Actor
from apiauth.core.ceiling import Ceiling
from apiauth.core.errors import (
    AlreadySubmitted,
    Conflict,
    Invalid,
    KeyAlreadyRevoked,
    KeyNotActive,
    KeysteadError,
    NotAllowed,
    NotFound,
)
from apiauth.core.secrets import SecretKind
from apiauth.models import ActivityEntry, App, Key, KeyStatus
from apiauth.services import apps, forms, key_edits, keys
from tests.support.rows import every_row

MakeKey = Callable[..., keys.IssuedKey]
Service = Callable[..., object]


def test_a_secret_is_stored_as_its_keyed_digest_alone(make_key: MakeKey, settings: object) -> None:
    issued = make_key()
    stored = Key.objects.get(pk=issued.key.pk)
    assert bytes(stored.digest) == settings.ENVIRONMENT.peppers.digest(SecretKind.KEY, issued.secret.text)  # type: ignore[attr-defined]
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(k)::text FROM apiauth_key k")
        assert issued.secret.text[8:-4] not in cursor.fetchone()[0]


def test_a_new_key_is_active_and_its_own_lineage(make_key: MakeKey, now: datetime) -> None:
    key = make_key().key
    assert key.status(now + timedelta(seconds=1)) is KeyStatus.ACTIVE
    assert key.lineage_id == key.id


def test_rotation_keeps_what_the_key_was_and_never_lengthens_the_old_one(
    make_key: MakeKey, app: App, actor: Actor, now: datetime
) -> None:
    old = make_key(permissions=["routes:read"], metadata={"team": "blue"}, expires_at=now + timedelta(hours=1)).key
    new = keys.rotate_key(app_id=app.id, key_id=old.id, overlap=timedelta(days=7), actor=actor, now=now).key
    old.refresh_from_db()
    assert (new.name, new.permissions, new.metadata, new.expires_at) == (
        old.name,
        old.permissions,
        old.metadata,
        old.expires_at,
    )
    assert old.ends_at == now + timedelta(hours=1)
    assert new.lineage_id == old.lineage_id
    assert old.status(now + timedelta(minutes=1)) is KeyStatus.IN_GRACE


def test_rotation_without_overlap_ends_the_old_key_at_once(
    make_key: MakeKey, app: App, actor: Actor, now: datetime
) -> None:
    old = make_key(now=now).key
    keys.rotate_key(app_id=app.id, key_id=old.id, overlap=timedelta(0), actor=actor, now=now)
    old.refresh_from_db()
    assert old.status(now) is KeyStatus.ROTATED_OUT


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=30, seconds=1)])
def test_an_overlap_outside_30_days_is_refused_and_nothing_is_written(
    make_key: MakeKey, app: App, actor: Actor, now: datetime, overlap: timedelta
) -> None:
    old = make_key().key
    with pytest.raises(Invalid) as refusal:
        keys.rotate_key(app_id=app.id, key_id=old.id, overlap=overlap, actor=actor, now=now)
    assert refusal.value.field == "overlap_seconds"
    assert Key.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_rotations_at_once_make_one_new_key(make_key: MakeKey, app: App, actor: Actor, now: datetime) -> None:
    old = make_key().key
    barrier = threading.Barrier(4)
    outcomes: list[str] = []

    def rotate() -> None:
        barrier.wait()
        try:
            keys.rotate_key(app_id=app.id, key_id=old.id, overlap=timedelta(0), actor=actor, now=now)
            outcomes.append("rotated")
        except KeyNotActive:
            outcomes.append("refused")
        finally:
            connections.close_all()

    threads = [threading.Thread(target=rotate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["refused", "refused", "refused", "rotated"]
    assert Key.objects.in_app(app.id).count() == 2


def test_a_revoke_is_final_also_for_raw_sql(make_key: MakeKey, app: App, actor: Actor, now: datetime) -> None:
    key = make_key().key
    revoked = keys.revoke_key(
        app_id=app.id, key_id=key.id, reason="leaked", actor=actor, now=now + timedelta(seconds=1)
    )
    assert (revoked.revoked_reason, revoked.status(now + timedelta(seconds=1))) == ("leaked", KeyStatus.REVOKED)
    with pytest.raises(KeyAlreadyRevoked):
        keys.revoke_key(app_id=app.id, key_id=key.id, reason="again", actor=actor, now=now + timedelta(seconds=2))
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE apiauth_key SET revoked_at = NULL")


def test_a_key_row_cannot_be_deleted(make_key: MakeKey) -> None:
    make_key()
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM apiauth_key")


def test_the_same_form_sent_twice_makes_one_key(make_key: MakeKey, app: App) -> None:
    form = forms.SubmittedForm(session_id=1, token="f" * 32)
    make_key(form=form)
    with pytest.raises(AlreadySubmitted):
        make_key(form=form)
    assert Key.objects.in_app(app.id).count() == 1


def test_a_key_of_another_app_is_as_absent_as_no_key(
    make_key: MakeKey, make_app: Callable[..., App], actor: Actor, now: datetime
) -> None:
    key, other = make_key().key, make_app("aa_2")
    refusals = []
    for key_id in (key.id, 1):
        with pytest.raises(NotFound) as refusal:
            keys.revoke_key(app_id=other.id, key_id=key_id, actor=actor, now=now)
        refusals.append(refusal.value.message)
    assert refusals[0] == refusals[1]


def test_a_paused_apps_keys_cannot_be_changed(make_key: MakeKey, app: App, actor: Actor, now: datetime) -> None:
    apps.disable_app(deployment_id=app.deployment_id, slug=app.slug, reason="unpaid", actor=actor, now=now)
    with pytest.raises(NotAllowed):
        make_key()


def test_in_a_paused_app_staff_can_revoke_and_a_subject_cannot(
    make_key: MakeKey, app: App, actor: Actor, now: datetime
) -> None:
    key = make_key().key
    apps.disable_app(deployment_id=app.deployment_id, slug=app.slug, reason="unpaid", actor=actor, now=now)
    subject = replace(actor, kind="subject", via="portal")
    with pytest.raises(NotAllowed):
        keys.revoke_key(app_id=app.id, key_id=key.id, actor=subject, now=now)
    assert keys.revoke_key(app_id=app.id, key_id=key.id, actor=actor, now=now).revoked_at


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"name": ""}, "name"),
        ({"name": "\u200b\u200b"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "abc\u202edef"}, "name"),
        ({"permissions": ["Routes"]}, "permissions[0]"),
        ({"permissions": ["routes:fly"]}, "permissions"),
        ({"permissions": ["routes:read"] * 1001}, "permissions"),
        ({"metadata": {"principal_type": "oauth"}}, "metadata"),
        ({"metadata": {"note": "a\r\nb"}}, "metadata"),
        ({"allowed_cidrs": ["10.0.0.0/33"]}, "allowed_cidrs"),
        ({"allowed_cidrs": ["10.0.0.1"] * 51}, "allowed_cidrs"),
        ({"allowed_cidrs": ["fe80::1%eth0"]}, "allowed_cidrs"),
        ({"allowed_cidrs": ["fe80::1%" + "a" * 40]}, "allowed_cidrs"),
        ({"expires_at": datetime(2020, 1, 1)}, "expires_at"),  # noqa: DTZ001  # naive on purpose
        ({"note": "n" * 501}, "note"),
    ],
)
def test_bad_input_names_its_field_and_writes_nothing(make_key: MakeKey, fields: dict[str, object], named: str) -> None:
    entries = ActivityEntry.objects.count()
    with pytest.raises(Invalid) as refusal:
        make_key(**fields)
    assert (refusal.value.field or "").startswith(named)
    assert Key.objects.count() == 0
    assert ActivityEntry.objects.count() == entries


def test_a_key_never_goes_beyond_the_ceiling_of_its_session(
    make_key: MakeKey, app: App, actor: Actor, now: datetime
) -> None:
    narrow = Ceiling(permissions=frozenset({"routes:read"}), longest_expiry_days=30, key_cap=1)
    month = now + timedelta(days=29)
    with pytest.raises(NotAllowed):
        make_key(permissions=["routes:write"], expires_at=month, ceiling=narrow)
    with pytest.raises(Invalid):
        make_key(permissions=["routes:read"], ceiling=narrow)
    wide = make_key(permissions=["routes:write"]).key
    with pytest.raises(NotAllowed):
        keys.rotate_key(app_id=app.id, key_id=wide.id, ceiling=narrow, actor=actor, now=now + timedelta(seconds=1))
    with pytest.raises(NotAllowed, match="limit of 1 active key"):
        make_key(permissions=["routes:read"], expires_at=month, ceiling=narrow)
    assert Key.objects.count() == 1


@pytest.mark.parametrize(("old_days", "new_days"), [(None, 30), (90, 30), (7, 7)])
def test_a_rotation_never_outlasts_the_ceiling_of_its_session(
    make_key: MakeKey, app: App, actor: Actor, now: datetime, old_days: int | None, new_days: int
) -> None:
    expires_at = None if old_days is None else now + timedelta(days=old_days)
    old = make_key(expires_at=expires_at, now=now).key
    ceiling = Ceiling(longest_expiry_days=30)
    new = keys.rotate_key(app_id=app.id, key_id=old.id, ceiling=ceiling, actor=actor, now=now).key
    assert new.expires_at == now + timedelta(days=new_days)


def test_every_refusal_has_a_code_and_a_sentence() -> None:
    pending: list[type[KeysteadError]] = [KeysteadError]
    while pending:
        kind = pending.pop()
        pending.extend(kind.__subclasses__())
        assert kind.code
        assert (kind.__doc__ or "").strip().endswith(".")


@pytest.mark.parametrize("end", [keys.revoke_key, keys.disable_key])
@pytest.mark.parametrize("act", [keys.rotate_key, keys.disable_key])
def test_a_key_that_ended_after_a_call_began_is_active_no_more_for_that_call(
    make_key: MakeKey, app: App, actor: Actor, now: datetime, end: Service, act: Service
) -> None:
    where = {"app_id": app.pk, "key_id": make_key(now=now).key.pk, "actor": actor}
    end(**where, now=now + timedelta(seconds=1))
    ended = every_row()
    with pytest.raises(KeyNotActive):
        act(**where, now=now)
    assert every_row() == ended


def test_a_key_that_was_revoked_after_a_call_began_is_not_edited_by_it(
    make_key: MakeKey, app: App, actor: Actor, now: datetime
) -> None:
    where = {"app_id": app.pk, "key_id": make_key(now=now).key.pk, "actor": actor}
    keys.revoke_key(**where, now=now + timedelta(seconds=1))
    with pytest.raises(KeyNotActive):
        key_edits.edit_key(changes={"name": "Renamed"}, **where, now=now)
    assert Key.objects.get().name == "Billing worker"


@pytest.mark.parametrize("again", ["end", "change"])
def test_an_overlap_that_ended_after_a_call_began_is_over_for_that_call(
    make_key: MakeKey, app: App, actor: Actor, now: datetime, again: str
) -> None:
    where = {"app_id": app.pk, "key_id": make_key(now=now).key.pk, "actor": actor}
    keys.rotate_key(overlap=timedelta(days=1), **where, now=now)
    keys.end_overlap(**where, now=now + timedelta(seconds=1))
    ended = every_row()
    longer = partial(keys.change_overlap, until=now + timedelta(days=2))
    with pytest.raises(Conflict):
        {"end": keys.end_overlap, "change": longer}[again](**where, now=now)
    assert every_row() == ended
