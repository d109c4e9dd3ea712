"""The life of a key: created, rotated, disabled and revoked here alone."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from apiauth.core.actor import Actor
from apiauth.core.errors import (
    AlreadySubmitted,
    Conflict,
    Invalid,
    KeyAlreadyRevoked,
    KeyNotActive,
    NotAllowed,
    NotFound,
)
from apiauth.core.events import Event
from apiauth.core.metadata import check_metadata
from apiauth.core.permissions import check_permissions
from apiauth.core.secrets import NewSecret, SecretKind, new_secret
from apiauth.models import App, FormToken, Key, KeyStatus
from apiauth.models.fields import insert, violated_constraint
from apiauth.services import activity
from apiauth.services.text import plain_text

LONGEST_OVERLAP = timedelta(days=30)
LATEST_EXPIRY = datetime(9998, 1, 1, tzinfo=UTC)  # any later cannot be shown in every time zone
MOST_ADDRESSES = 50


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key in the one moment in which its secret exists."""

    key: Key
    secret: NewSecret


@dataclass(frozen=True, slots=True)
class SubmittedForm:
    """The one-time token of the form behind a request, and the session that it was shown to."""

    session_id: int
    token: str


@transaction.atomic
def create_key(
    *,
    app_id: int,
    name: str,
    permissions: Iterable[object] = (),
    metadata: Mapping[str, Any] | None = None,
    expires_at: datetime | None = None,
    allowed_cidrs: Iterable[object] = (),
    note: str = "",
    form: SubmittedForm | None = None,
    actor: Actor,
    now: datetime,
) -> IssuedKey:
    """Make a key. Its secret is in the answer alone.

    Raises NotFound (no such app), NotAllowed (app paused), Invalid that names the field, and
    AlreadySubmitted where the same form made a key before.
    """
    app = _lock_open_app(app_id)
    issued = _issue(
        app,
        now=now,
        values={
            "name": plain_text(name, field="name", most=100),
            "note": plain_text(note, field="note", most=500, required=False),
            "permissions": _within_catalogue(app, permissions),
            "metadata": _metadata(metadata),
            "expires_at": _expiry(expires_at, now),
            "allowed_cidrs": _addresses(allowed_cidrs),
            "created_by": actor.name[:200],
        },
    )
    _take_form(form, issued.key, now)
    details = {
        "name": issued.key.name,
        "permissions": issued.key.permissions,
        "expires_at": _written(issued.key.expires_at),
    }
    _record(Event.KEY_CREATED, issued.key, actor, now, details)
    return issued


@transaction.atomic
def rotate_key(
    *,
    app_id: int,
    key_id: int,
    overlap: timedelta | None = None,
    form: SubmittedForm | None = None,
    actor: Actor,
    now: datetime,
) -> IssuedKey:
    """Replace a key and let the old one work for `overlap` longer; None is the app's default, zero ends it at once.

    Name, permissions, metadata and expiry go to the new key; the old key's expiry is not touched.
    Raises NotFound outside the app, KeyNotActive if it is revoked, disabled, expired or rotated
    already, Invalid for an overlap outside 0 to 30 days. Two calls at once yield one new key.
    """
    app = _lock_open_app(app_id)
    old = _lock_key(app_id, key_id)
    _take_form_early(form)
    if not old.is_active(now) or old.replaced_by_id:
        raise KeyNotActive
    overlap = timedelta(seconds=app.default_overlap_seconds) if overlap is None else overlap
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise Invalid("The overlap must be 0 to 2592000 seconds (30 days).", field="overlap_seconds")
    kept = ("name", "note", "permissions", "metadata", "expires_at", "allowed_cidrs", "lineage_id")
    issued = _issue(
        app, now=now, values={**{name: getattr(old, name) for name in kept}, "created_by": actor.name[:200]}
    )
    old.replaced_by = issued.key
    old.overlap_ends_at = now + overlap
    old.updated_at = now
    old.save(update_fields=["replaced_by", "overlap_ends_at", "updated_at"])
    _take_form(form, issued.key, now)
    details = {
        "name": old.name,
        "replaced_by": str(issued.key.id),
        "overlap_ends_at": _written(old.overlap_ends_at),
    }
    _record(Event.KEY_ROTATED, old, actor, now, details)
    return issued


@transaction.atomic
def revoke_key(*, app_id: int, key_id: int, reason: str = "", actor: Actor, now: datetime) -> Key:
    """End a key for good. Raises NotFound outside the app, KeyAlreadyRevoked, Invalid for the reason."""
    key = _lock_key(app_id, key_id)
    if key.revoked_at is not None:
        raise KeyAlreadyRevoked
    if key.status(now) is KeyStatus.ROTATED_OUT:
        raise KeyAlreadyRevoked("This key was replaced by rotation and has ended.")
    key.revoked_at = key.updated_at = max(now, key.created_at)  # another host's clock may run a little ahead
    key.revoked_reason = plain_text(reason, field="reason", most=500, required=False) or None
    key.revoked_by = actor.name[:200]
    key.save(update_fields=["revoked_at", "revoked_reason", "revoked_by", "updated_at"])
    _record(Event.KEY_REVOKED, key, actor, now, {"name": key.name, "reason": key.revoked_reason})
    return key


@transaction.atomic
def end_overlap(*, app_id: int, key_id: int, actor: Actor, now: datetime) -> Key:
    """End the overlap of a rotated key now. Raises NotFound, Conflict where there is none to end."""
    key = _lock_key(app_id, key_id)
    if key.status(now) is not KeyStatus.IN_GRACE:
        raise Conflict("This key has no overlap to end.")
    key.overlap_ends_at = key.updated_at = now
    key.save(update_fields=["overlap_ends_at", "updated_at"])
    _record(Event.KEY_OVERLAP_ENDED, key, actor, now, {"name": key.name})
    return key


@transaction.atomic
def disable_key(*, app_id: int, key_id: int, reason: str = "", actor: Actor, now: datetime) -> Key:
    """Block a key until it is enabled again. Raises NotFound, KeyNotActive where it has ended or is disabled."""
    key = _lock_key(app_id, key_id)
    if not key.is_active(now):
        raise KeyNotActive
    key.disabled_at = key.updated_at = now
    key.save(update_fields=["disabled_at", "updated_at"])
    details = {"name": key.name, "reason": plain_text(reason, field="reason", most=500, required=False)}
    _record(Event.KEY_DISABLED, key, actor, now, details)
    return key


@transaction.atomic
def enable_key(*, app_id: int, key_id: int, reason: str = "", actor: Actor, now: datetime) -> Key:
    """Let a disabled key through again. Raises NotFound, Conflict where it is not disabled."""
    key = _lock_key(app_id, key_id)
    if key.status(now) is not KeyStatus.DISABLED:
        raise Conflict("This key is not disabled.")
    key.disabled_at, key.updated_at = None, now
    key.save(update_fields=["disabled_at", "updated_at"])
    details = {"name": key.name, "reason": plain_text(reason, field="reason", most=500, required=False)}
    _record(Event.KEY_ENABLED, key, actor, now, details)
    return key


def _issue(app: App, *, now: datetime, values: dict[str, Any]) -> IssuedKey:
    secret = new_secret(SecretKind.KEY, app.key_prefix, settings.ENVIRONMENT.peppers)

    def make() -> Key:
        key = Key(
            deployment_id=app.deployment_id,
            app=app,
            key_prefix=secret.prefix,
            key_suffix=secret.suffix,
            digest=secret.digest,
            pepper_version=secret.pepper_version,
            created_at=now,
            updated_at=now,
            **values,
        )
        key.lineage_id = values.get("lineage_id", key.id)
        return key

    return IssuedKey(insert(make), secret)


def _lock_open_app(app_id: int) -> App:
    """Return the app, held so that it cannot be paused or deleted meanwhile. Raises NotFound, NotAllowed."""
    app = App.objects.select_for_update(no_key=True).filter(pk=app_id, deleted_at=None).first()
    if app is None:
        raise NotFound("This app doesn't exist.")
    if not app.is_active:
        raise NotAllowed(f"{app.name} is paused. Its keys can be seen, not changed.")
    return app


def _lock_key(app_id: int, key_id: int) -> Key:
    key = Key.objects.in_app(app_id).select_for_update(of=("self",)).filter(pk=key_id).first()
    if key is None:
        raise NotFound("This key doesn't exist, or it belongs to another app.")
    return key


def _within_catalogue(app: App, permissions: Iterable[object]) -> list[str]:
    if isinstance(permissions, str | Mapping) or not isinstance(permissions, Iterable):
        raise Invalid("permissions must be a list.", field="permissions")
    names = check_permissions(permissions)
    missing = sorted(set(names) - set(app.permissions)) if app.permissions else []
    if missing:
        raise Invalid(f"{app.name} has no permission called {missing[0]}.", field="permissions")
    return names


def _metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    check_metadata({} if metadata is None else metadata)
    return dict(metadata or {})


def _expiry(expires_at: datetime | None, now: datetime) -> datetime | None:
    if expires_at is None:
        return None
    if expires_at.tzinfo is None:
        raise Invalid("expires_at needs a time zone, such as Z.", field="expires_at")
    if not now < expires_at < LATEST_EXPIRY:
        raise Invalid("Choose a date after now.", field="expires_at")
    return expires_at


def _addresses(ranges: Iterable[object]) -> list[str]:
    listed = list(ranges)
    if len(listed) > MOST_ADDRESSES:
        raise Invalid(f"A key can have at most {MOST_ADDRESSES} address ranges.", field="allowed_cidrs")
    found = []
    for given in listed:
        try:
            found.append(str(ip_network(str(given).strip(), strict=False)))
        except ValueError:
            raise Invalid(f"{str(given)[:50]!r} isn't a valid address range.", field="allowed_cidrs") from None
    return sorted(set(found))


def _form_digest(form: SubmittedForm) -> bytes:
    if not 16 <= len(form.token) <= 200:
        raise Invalid("This form is incomplete. Reload the page and try again.", field="form_token")
    return hashlib.sha256(form.token.encode()).digest()


def _take_form_early(form: SubmittedForm | None) -> None:
    """Say that a form was sent before, rather than what its first sending has changed since."""
    if form and FormToken.objects.filter(session_id=form.session_id, digest=_form_digest(form)).exists():
        raise AlreadySubmitted


def _take_form(form: SubmittedForm | None, key: Key, now: datetime) -> None:
    """Spend the form's token; the unique constraint lets one of two submissions through."""
    if form is None:
        return
    digest = _form_digest(form)
    try:
        insert(lambda: FormToken(session_id=form.session_id, digest=digest, key=key, created_at=now))
    except IntegrityError as error:
        if violated_constraint(error) == "form_token_used_once":
            raise AlreadySubmitted from None
        raise


def _written(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _record(event: Event, key: Key, actor: Actor, now: datetime, details: dict[str, Any]) -> None:
    activity.record(
        event,
        actor=actor,
        now=now,
        deployment_id=key.deployment_id,
        app_id=key.app_id,
        key_id=key.id,
        details=details,
    )
