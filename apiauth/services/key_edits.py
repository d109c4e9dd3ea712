"""A key that is changed in place: its name, what it may do, from where, and until when."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from apiauth.core.actor import Actor
from apiauth.core.ceiling import UNBOUNDED, Ceiling
from apiauth.core.errors import Invalid, KeyNotActive
from apiauth.core.events import Event
from apiauth.models import App, Key, KeyStatus
from apiauth.services import key_values
from apiauth.services.key_rows import lock_key, lock_open_app, record, written
from apiauth.services.text import plain_text
from apiauth.services.versions import refuse_unseen

EDITABLE = ("name", "note", "permissions", "allowed_cidrs", "resources", "limits", "metadata", "expires_at")
_EDITABLE_WHEN = (KeyStatus.ACTIVE, KeyStatus.IN_GRACE, KeyStatus.DISABLED)


@transaction.atomic
def edit_key(
    *,
    app_id: int,
    key_id: int,
    changes: Mapping[str, Any],
    ceiling: Ceiling = UNBOUNDED,
    actor: Actor,
    now: datetime,
    seen: Collection[datetime] | None = None,
) -> Key:
    """Change what `changes` names of a key: name, note, permissions, allowed_cidrs, resources, limits, metadata
    or expires_at.

    All of it or nothing; what stays the same leaves no entry in the log. A new end keeps to the app's
    policy, counted from when the key was made; an earlier one always does. The ceiling bounds what is
    added: a permission that the key lacks, a later end. Raises NotFound, NotAllowed, KeyNotActive where the
    key has ended, ChangedMeanwhile where none of `seen` is its `updated_at`, and Invalid that names the field.
    """
    app, key = lock_open_app(app_id, actor), lock_key(app_id, key_id)
    refuse_unseen(key.updated_at, seen)
    if key.status(now) not in _EDITABLE_WHEN:
        raise KeyNotActive
    given = {name: checked(name, value, key, app, now) for name, value in changes.items() if name in EDITABLE}
    after = {name: value for name, value in given.items() if value != getattr(key, name)}
    if not after:
        return key
    _check_ceiling(key, after, ceiling, now)
    differences = {name: _difference(name, getattr(key, name), value) for name, value in after.items()}
    for name, value in after.items():
        setattr(key, name, value)
    key.updated_at = now
    key.save(update_fields=[*after, "updated_at"])
    record(Event.KEY_EDITED, key, actor, now, {"name": key.name, "changed": differences})
    return key


def checked(name: str, value: Any, key: Key, app: App, now: datetime) -> Any:
    """Return what one of EDITABLE would be once changed to a value. Raises Invalid that names it."""
    if name == "name":
        return plain_text(value, field="name", most=100)
    if name == "note":
        return plain_text(value or "", field="note", most=500, required=False)
    if name == "permissions":
        return _permissions(key, app, value)
    if name == "allowed_cidrs":
        return key_values.addresses(() if value is None else value)
    if name == "resources":
        return _resources(key, app, value)
    if name == "limits":
        return key_values.limits(app, () if value is None else value, key.limits)
    if name == "metadata":
        return key_values.own_metadata(value)
    return _end(key, app, value, now)


def _permissions(key: Key, app: App, wanted: Any) -> list[str]:
    """Return the permissions; those that the key has stay possible when the catalogue has lost them."""
    names = key_values.permissions(() if wanted is None else wanted)
    key_values.within_catalogue(app, [name for name in names if name not in key.permissions])
    return names


def _resources(key: Key, app: App, wanted: Any) -> list[str]:
    """Return the resources; those that the key has stay when the app's list has lost them, and open nothing."""
    named = [] if wanted is None else wanted
    kept = [each for each in key.resources if each not in app.resources and each in named]
    return kept + key_values.resources(app, [each for each in named if each not in kept])


def _end(key: Key, app: App, wanted: datetime | None, now: datetime) -> datetime | None:
    if wanted == key.expires_at:
        return wanted
    end = key_values.expiry(wanted, now)
    latest = app.policy.expiry.latest(key.created_at)
    if latest is None:
        return end
    if key.expires_at is not None:
        latest = max(latest, key.expires_at)  # a key that was there before the policy may be ended earlier, too
    if end is None or end > latest:
        raise Invalid(f"This key has to end by {latest:%Y-%m-%d %H:%M} UTC.", field="expires_at")
    return end


def _check_ceiling(key: Key, after: Mapping[str, Any], ceiling: Ceiling, now: datetime) -> None:
    ceiling.check_permissions(sorted(set(after.get("permissions", ())) - set(key.permissions)))
    if "expires_at" in after and key.expires_at is not None:
        end = after["expires_at"]
        if end is None or end > key.expires_at:
            ceiling.check_expiry(end, now)


def _difference(name: str, before: Any, after: Any) -> dict[str, Any]:
    """Return what the log says of one change; what metadata holds is the product's own, so its names alone."""
    if name == "metadata":
        names = before.keys() | after.keys()
        return {"names": sorted(each for each in names if before.get(each) != after.get(each))}
    return {"before": _shown(before), "after": _shown(after)}


def _shown(value: Any) -> Any:
    return written(value) if isinstance(value, datetime) else value
