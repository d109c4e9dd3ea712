"""A key is blocked until it is enabled again."""

from datetime import datetime

from django.db import transaction

from apiauth.core.actor import Actor
from apiauth.core.ceiling import UNBOUNDED, Ceiling
from apiauth.core.errors import Conflict, KeyNotActive
from apiauth.core.events import Event
from apiauth.core.scope import NOBODY, Owner
from apiauth.models import Key, KeyStatus
from apiauth.services.key_rows import lock_app_for, lock_key, lock_open_app, record
from apiauth.services.keys.reach import check_comeback
from apiauth.services.text import plain_text


@transaction.atomic
def disable_key(*, app_id: int, key_id: int, reason: str = "", actor: Actor, now: datetime) -> Key:
    """Block a key until it is enabled again. Raises NotFound, KeyNotActive where it has ended or is disabled.

    In a paused app a subject may change nothing (NotAllowed); the product and staff still may.
    """
    if actor.kind == "subject":
        lock_open_app(app_id, actor)
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
    app, key = lock_app_for(app_id, actor, is_open=actor.kind == "subject"), lock_key(app_id, key_id)
    why = plain_text(reason, field="reason", most=500, required=False)
    if key.status(now) is not KeyStatus.DISABLED:
        raise Conflict("This key is not disabled.")
    check_comeback(app, key, owner, ceiling, actor, now)
    key.disabled_at, key.updated_at = None, now
    key.save(update_fields=["disabled_at", "updated_at"])
    record(Event.KEY_ENABLED, key, actor, now, {"name": key.name, "reason": why})
    return key
