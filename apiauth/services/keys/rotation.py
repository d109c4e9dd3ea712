"""A key is replaced, and its old secret works on for a while: longer or shorter than was said first."""

from datetime import datetime, timedelta

from django.db import transaction

from apiauth.core.actor import Actor
from apiauth.core.ceiling import UNBOUNDED, Ceiling
from apiauth.core.errors import Conflict, Invalid, KeyNotActive
from apiauth.core.events import Event
from apiauth.models import Key, KeyStatus
from apiauth.services import forms
from apiauth.services.forms import SubmittedForm
from apiauth.services.key_rows import lock_key, lock_open_app, record, written
from apiauth.services.keys.issuing import IssuedKey, issue

LONGEST_OVERLAP = timedelta(days=30)
_KEPT_BY_ROTATION = (
    "name",
    "note",
    "permissions",
    "metadata",
    "expires_at",
    "allowed_cidrs",
    "resources",
    "limits",
    "lineage_id",
    "user_id",
    "organization_id",
    "workspace_id",
)


@transaction.atomic
def rotate_key(
    *,
    app_id: int,
    key_id: int,
    overlap: timedelta | None = None,
    form: SubmittedForm | None = None,
    ceiling: Ceiling = UNBOUNDED,
    actor: Actor,
    now: datetime,
) -> IssuedKey:
    """Replace a key and let the old one work for `overlap` longer; None is the app's default, zero ends it at once.

    Name, owner, permissions, metadata, expiry (cut to the caller's ceiling and the app's policy) and
    limits (which the new key counts for itself) go to the new key; the old key's expiry is not touched.
    Raises NotFound outside the app, KeyNotActive if it is revoked, disabled, expired or rotated
    already, NotAllowed where it can do more than the caller may hand out, Invalid for an overlap
    outside 0 to 30 days. Two calls at once yield one new key.
    """
    app = lock_open_app(app_id, actor)
    old = lock_key(app_id, key_id)
    forms.refuse_repeat(form)
    if not old.is_active(now) or old.replaced_by_id:
        raise KeyNotActive
    ceiling.check_permissions(old.permissions)
    overlap = timedelta(seconds=app.default_overlap_seconds) if overlap is None else overlap
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise Invalid("The overlap must be 0 to 2592000 seconds (30 days).", field="overlap_seconds")
    values = {name: getattr(old, name) for name in _KEPT_BY_ROTATION}
    values["expires_at"] = app.policy.expiry.cut(ceiling.within_expiry(old.expires_at, now), now)
    issued = issue(app, actor=actor, now=now, values=values)
    old.replaced_by = issued.key
    old.overlap_ends_at = now + overlap
    old.updated_at = now
    old.save(update_fields=["replaced_by", "overlap_ends_at", "updated_at"])
    forms.take(form, issued.key, now)
    changed = {"replaced_by": str(issued.key.id), "overlap_ends_at": written(old.overlap_ends_at)}
    record(Event.KEY_ROTATED, old, actor, now, {"name": old.name, **changed})
    return issued


@transaction.atomic
def change_overlap(
    *, app_id: int, key_id: int, until: datetime, ceiling: Ceiling = UNBOUNDED, actor: Actor, now: datetime
) -> Key:
    """Let the old secret of a rotated key work to `until`: longer than was said, or less long.

    To the moment that is its end already, nothing is changed and no entry made. Raises NotFound, NotAllowed
    (app paused; longer and beyond the ceiling), Conflict where it has no overlap any more, and Invalid where
    that is over, more than 30 days after the rotation, or later than the key's own expiry.
    """
    lock_open_app(app_id, actor)
    key = lock_key(app_id, key_id)
    now = max(now, key.updated_at)
    before = key.overlap_ends_at
    if key.status(now) is not KeyStatus.IN_GRACE or before is None:
        raise Conflict("This key has no overlap to change.")
    _check_overlap_end(key, until, now)
    if until == before:
        return key
    if until > before:
        ceiling.check_permissions(key.permissions)
    key.overlap_ends_at, key.updated_at = until, now
    key.save(update_fields=["overlap_ends_at", "updated_at"])
    event = Event.KEY_OVERLAP_EXTENDED if until > before else Event.KEY_OVERLAP_SHORTENED
    record(event, key, actor, now, {"name": key.name, "before": written(before), "overlap_ends_at": written(until)})
    return key


@transaction.atomic
def end_overlap(*, app_id: int, key_id: int, actor: Actor, now: datetime) -> Key:
    """End the overlap of a rotated key now. Raises NotFound, Conflict where there is none to end.

    In a paused app a subject may change nothing (NotAllowed); the product and staff still may.
    """
    if actor.kind == "subject":
        lock_open_app(app_id, actor)
    key = lock_key(app_id, key_id)
    now = max(now, key.updated_at)
    if key.status(now) is not KeyStatus.IN_GRACE:
        raise Conflict("This key has no overlap to end.")
    key.overlap_ends_at = key.updated_at = now
    key.save(update_fields=["overlap_ends_at", "updated_at"])
    record(Event.KEY_OVERLAP_ENDED, key, actor, now, {"name": key.name})
    return key


def latest_overlap_end(key: Key, successor: Key) -> datetime:
    """Return how long the overlap of a rotated key can last at most: 30 days, and no longer than the key itself."""
    return min(filter(None, (successor.created_at + LONGEST_OVERLAP, key.expires_at)))


def _check_overlap_end(key: Key, until: datetime, now: datetime) -> None:
    """Return if the overlap of a rotated key can end at a moment; raise Invalid that says between which it can."""
    if until.tzinfo is None:
        raise Invalid("overlap_ends_at needs a time zone, such as Z.", field="overlap_ends_at")
    assert key.replaced_by is not None  # its status says so
    latest = latest_overlap_end(key, key.replaced_by)
    if not now <= until <= latest:
        raise Invalid(
            f"Choose a time that is still to come, and no later than {latest:%Y-%m-%d %H:%M} UTC.",
            field="overlap_ends_at",
        )
