"""The life of a key: created, rotated, disabled and revoked here alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from apiauth.core.actor import Actor
from apiauth.core.ceiling import UNBOUNDED, Ceiling
from apiauth.core.errors import (
    Conflict,
    Invalid,
    KeyAlreadyRevoked,
    KeyNotActive,
    NotAllowed,
)
from apiauth.core.events import Event
from apiauth.core.policy import Policy
from apiauth.core.scope import NOBODY, Owner, Reach
from apiauth.core.secrets import NewSecret, SecretKind, new_secret
from apiauth.models import App, Key, KeyStatus
from apiauth.models.fields import insert
from apiauth.services import forms, key_values
from apiauth.services.forms import SubmittedForm
from apiauth.services.key_rows import lock_app, lock_key, lock_open_app, record, written
from apiauth.services.text import plain_text

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

_REVOCATION = ("revoked_at", "revoked_reason", "revoked_by", "revoked_by_kind")


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key in the one moment in which its secret exists."""

    key: Key
    secret: NewSecret


@transaction.atomic
def create_key(
    *,
    app_id: int,
    name: str,
    permissions: Iterable[object] = (),
    metadata: Mapping[str, Any] | None = None,
    expires_at: datetime | None = None,
    allowed_cidrs: Iterable[object] = (),
    resources: Iterable[object] = (),
    limits: object = (),
    note: str = "",
    form: SubmittedForm | None = None,
    owner: Owner = NOBODY,
    ceiling: Ceiling = UNBOUNDED,
    actor: Actor,
    now: datetime,
) -> IssuedKey:
    """Make a key within the caller's ceiling and the app's policy. Its secret is in the answer alone.

    It belongs to `owner`, and where that names nobody to whom the app belongs to. Raises NotFound
    (no such app), NotAllowed (app paused, beyond the ceiling, out of a subject's own reach), Invalid
    that names the field, and AlreadySubmitted where the same form made a key before.
    """
    app = lock_open_app(app_id)
    forms.refuse_repeat(form)
    values: dict[str, Any] = {
        "name": plain_text(name, field="name", most=100),
        "note": plain_text(note, field="note", most=500, required=False),
        "permissions": key_values.within_catalogue(app, permissions),
        "metadata": {**ceiling.metadata, **key_values.own_metadata(metadata)},
        "expires_at": _end(app, expires_at, ceiling, now),
        **_bounds(app, allowed_cidrs, resources, limits),
        **_owned(app, owner),
    }
    ceiling.check_permissions(values["permissions"])
    _check_reach(app, owner, ceiling, actor, now)
    issued = _issue(app, actor=actor, now=now, values=values)
    forms.take(form, issued.key, now)
    record(Event.KEY_CREATED, issued.key, actor, now, _described(issued.key))
    return issued


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
    app = lock_open_app(app_id)
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
    issued = _issue(app, actor=actor, now=now, values=values)
    old.replaced_by = issued.key
    old.overlap_ends_at = now + overlap
    old.updated_at = now
    old.save(update_fields=["replaced_by", "overlap_ends_at", "updated_at"])
    forms.take(form, issued.key, now)
    changed = {"replaced_by": str(issued.key.id), "overlap_ends_at": written(old.overlap_ends_at)}
    record(Event.KEY_ROTATED, old, actor, now, {"name": old.name, **changed})
    return issued


@transaction.atomic
def revoke_key(*, app_id: int, key_id: int, reason: str = "", actor: Actor, now: datetime) -> Key:
    """End a key: for good, unless its policy lets the revoke be undone. Raises NotFound outside the app,
    KeyAlreadyRevoked, Invalid for the reason.

    In a paused app a subject may change nothing (NotAllowed); the product and staff still may.
    """
    if actor.kind == "subject":
        lock_open_app(app_id)
    key = lock_key(app_id, key_id)
    if key.revoked_at is not None:
        raise KeyAlreadyRevoked
    if key.status(now) is KeyStatus.ROTATED_OUT:
        raise KeyAlreadyRevoked("This key was replaced by rotation and has ended.")
    key.revoked_at = key.updated_at = max(now, key.created_at)  # another host's clock may run a little ahead
    key.revoked_reason = plain_text(reason, field="reason", most=500, required=False) or None
    key.revoked_by, key.revoked_by_kind = actor.name[:200], actor.kind
    key.save(update_fields=[*_REVOCATION, "updated_at"])
    record(Event.KEY_REVOKED, key, actor, now, {"name": key.name, "reason": key.revoked_reason})
    return key


@transaction.atomic
def undo_revoke(
    *,
    app_id: int,
    key_id: int,
    owner: Owner = NOBODY,
    ceiling: Ceiling = UNBOUNDED,
    actor: Actor,
    now: datetime,
) -> Key:
    """Take a revoke back: the same secret works again. Raises NotFound, NotAllowed, Conflict.

    Only while the app's policy allows it, counted from the revoke, and only where the key would work
    again: not after its expiry or the end of its overlap. A subject takes back what a subject did,
    within the ceiling and the room that it has for new keys; never what staff or the product did.
    """
    app, key = lock_open_app(app_id), lock_key(app_id, key_id)
    until = app.policy.revocation.undo_ends_at(key.revoked_at)
    if until is None:
        raise Conflict("This key is not revoked, or its app lets no revoke be undone.")
    if actor.kind == "subject" and key.revoked_by_kind != "subject":
        raise NotAllowed("This key was not revoked by one of its users, so only support can bring it back.")
    if until <= now:
        raise Conflict("The time to undo this revoke has passed. Create a new key.")
    if key.ends_at is not None and key.ends_at <= now:
        raise Conflict("This key has ended meanwhile. Create a new one.")
    _check_comeback(app, key, owner, ceiling, actor, now)
    details = {"name": key.name, "revoked_at": written(key.revoked_at), "reason": key.revoked_reason}
    key.revoked_at, key.revoked_reason, key.revoked_by, key.revoked_by_kind = None, None, "", ""
    key.updated_at = now
    key.save(update_fields=[*_REVOCATION, "updated_at"])
    record(Event.KEY_REVOKE_UNDONE, key, actor, now, details)
    return key


@transaction.atomic
def extend_overlap(
    *, app_id: int, key_id: int, until: datetime, ceiling: Ceiling = UNBOUNDED, actor: Actor, now: datetime
) -> Key:
    """Let the old secret of a rotated key work longer, to `until`.

    Raises NotFound, NotAllowed (app paused, beyond the ceiling), Conflict where it has no overlap any
    more, and Invalid where that is no later than the present end, more than 30 days after the rotation,
    or later than the key's own expiry.
    """
    lock_open_app(app_id)
    key = lock_key(app_id, key_id)
    if key.status(now) is not KeyStatus.IN_GRACE:
        raise Conflict("This key has no overlap to extend.")
    ceiling.check_permissions(key.permissions)
    before = key.overlap_ends_at
    key.overlap_ends_at, key.updated_at = _longer_overlap(key, until), now
    key.save(update_fields=["overlap_ends_at", "updated_at"])
    ends = {"before": written(before), "overlap_ends_at": written(until)}
    record(Event.KEY_OVERLAP_EXTENDED, key, actor, now, {"name": key.name, **ends})
    return key


@transaction.atomic
def end_overlap(*, app_id: int, key_id: int, actor: Actor, now: datetime) -> Key:
    """End the overlap of a rotated key now. Raises NotFound, Conflict where there is none to end."""
    key = lock_key(app_id, key_id)
    if key.status(now) is not KeyStatus.IN_GRACE:
        raise Conflict("This key has no overlap to end.")
    key.overlap_ends_at = key.updated_at = now
    key.save(update_fields=["overlap_ends_at", "updated_at"])
    record(Event.KEY_OVERLAP_ENDED, key, actor, now, {"name": key.name})
    return key


@transaction.atomic
def disable_key(*, app_id: int, key_id: int, reason: str = "", actor: Actor, now: datetime) -> Key:
    """Block a key until it is enabled again. Raises NotFound, KeyNotActive where it has ended or is disabled.

    In a paused app a subject may change nothing (NotAllowed); the product and staff still may.
    """
    if actor.kind == "subject":
        lock_open_app(app_id)
    key = lock_key(app_id, key_id)
    if not key.is_active(now):
        raise KeyNotActive
    key.disabled_at = key.updated_at = now
    key.save(update_fields=["disabled_at", "updated_at"])
    details = {"name": key.name, "reason": plain_text(reason, field="reason", most=500, required=False)}
    record(Event.KEY_DISABLED, key, actor, now, details)
    return key


@transaction.atomic
def enable_key(
    *,
    app_id: int,
    key_id: int,
    reason: str = "",
    owner: Owner = NOBODY,
    ceiling: Ceiling = UNBOUNDED,
    actor: Actor,
    now: datetime,
) -> Key:
    """Let a disabled key through again. Raises NotFound, Conflict where it is not disabled.

    A subject can do so within its ceiling and the room that it has for new keys (NotAllowed), and not
    in a paused app.
    """
    app, key = lock_app(app_id, is_open=actor.kind == "subject"), lock_key(app_id, key_id)
    why = plain_text(reason, field="reason", most=500, required=False)
    if key.status(now) is not KeyStatus.DISABLED:
        raise Conflict("This key is not disabled.")
    _check_comeback(app, key, owner, ceiling, actor, now)
    key.disabled_at, key.updated_at = None, now
    key.save(update_fields=["disabled_at", "updated_at"])
    record(Event.KEY_ENABLED, key, actor, now, {"name": key.name, "reason": why})
    return key


def latest_overlap_end(key: Key, successor: Key) -> datetime:
    """Return how long the overlap of a rotated key can last at most: 30 days, and no longer than the key itself."""
    return min(filter(None, (successor.created_at + LONGEST_OVERLAP, key.expires_at)))


def _longer_overlap(key: Key, until: datetime) -> datetime:
    """Return the new end of an overlap; raise Invalid where it cannot be that."""
    if until.tzinfo is None:
        raise Invalid("overlap_ends_at needs a time zone, such as Z.", field="overlap_ends_at")
    assert key.replaced_by is not None  # its status says so
    latest = latest_overlap_end(key, key.replaced_by)
    if key.overlap_ends_at is None or not key.overlap_ends_at < until <= latest:
        raise Invalid(
            f"Choose a time after the present end, and no later than {latest:%Y-%m-%d %H:%M} UTC.",
            field="overlap_ends_at",
        )
    return until


def _end(app: App, expires_at: datetime | None, ceiling: Ceiling, now: datetime) -> datetime | None:
    """Return when a new key ends: as asked for where policy and ceiling allow it, else by the policy's default."""
    asked = key_values.expiry(expires_at, now)
    policy: Policy = app.policy
    end = policy.expiry.granted(asked, now)
    if asked is None and end is not None:
        return ceiling.within_expiry(end, now)
    ceiling.check_expiry(end, now)
    return end


def _bounds(app: App, allowed_cidrs: Iterable[object], resources: Iterable[object], limits: object) -> dict[str, Any]:
    """Return from where, for what and how often a new key may be used."""
    return {
        "allowed_cidrs": key_values.addresses(allowed_cidrs),
        "resources": key_values.resources(app, resources),
        "limits": key_values.limits(app, limits),
    }


def _owned(app: App, owner: Owner) -> dict[str, str | None]:
    """Return whom a new key belongs to."""
    return {
        "user_id": owner.user_id or app.user_id,
        "organization_id": owner.organization_id or app.organization_id,
        "workspace_id": owner.workspace_id or app.workspace_id,
    }


def _check_reach(app: App, owner: Owner, ceiling: Ceiling, actor: Actor, now: datetime) -> None:
    """Return if a subject would see the key that it makes, and has room for it; raise NotAllowed if not."""
    reach = Reach(app.id, app.policy.scope.model, owner)
    if actor.kind == "subject":
        reach.require_holder()
    if ceiling.key_cap is not None:
        ceiling.check_count(Key.objects.within(reach).newest_of_lineage().active_at(now).count())


def _check_comeback(app: App, key: Key, owner: Owner, ceiling: Ceiling, actor: Actor, now: datetime) -> None:
    """Return if a caller may let a key work again: as far as it could make such a key."""
    ceiling.check_permissions(key.permissions)
    if key.replaced_by_id is None:  # the old key of a lineage takes no room
        _check_reach(app, owner, ceiling, actor, now)


def _issue(app: App, *, actor: Actor, now: datetime, values: dict[str, Any]) -> IssuedKey:
    secret = new_secret(SecretKind.KEY, app.key_prefix, settings.ENVIRONMENT.peppers)

    def make() -> Key:
        key = Key(
            deployment_id=app.deployment_id,
            app=app,
            key_prefix=secret.prefix,
            key_suffix=secret.suffix,
            digest=secret.digest,
            pepper_version=secret.pepper_version,
            created_by=actor.name[:200],
            created_by_id=actor.id[:200],
            created_at=now,
            updated_at=now,
            **values,
        )
        key.lineage_id = values.get("lineage_id", key.id)
        return key

    return IssuedKey(insert(make), secret)


def _described(key: Key) -> dict[str, Any]:
    details = {"name": key.name, "permissions": key.permissions, "expires_at": written(key.expires_at)}
    bounds = {"resources": key.resources, "limits": key.limits}
    return details | {name: value for name, value in bounds.items() if value}
