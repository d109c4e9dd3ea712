"""A key is made."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from apiauth.core.actor import Actor
from apiauth.core.ceiling import UNBOUNDED, Ceiling
from apiauth.core.events import Event
from apiauth.core.policy import Policy
from apiauth.core.scope import NOBODY, Owner
from apiauth.models import App, Key
from apiauth.services import forms, key_values
from apiauth.services.forms import SubmittedForm
from apiauth.services.key_rows import lock_open_app, record, written
from apiauth.services.keys.issuing import IssuedKey, issue
from apiauth.services.keys.reach import check_reach
from apiauth.services.text import plain_text


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
    app = lock_open_app(app_id, actor)
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
    check_reach(app, owner, ceiling, actor, now)
    issued = issue(app, actor=actor, now=now, values=values)
    forms.take(form, issued.key, now)
    record(Event.KEY_CREATED, issued.key, actor, now, _described(issued.key))
    return issued


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


def _described(key: Key) -> dict[str, Any]:
    details = {"name": key.name, "permissions": key.permissions, "expires_at": written(key.expires_at)}
    bounds = {"resources": key.resources, "limits": key.limits}
    return details | {name: value for name, value in bounds.items() if value}
