"""A key is ended for good, or taken back while its policy lets it."""

from datetime import datetime

from django.db import transaction

from apiauth.core.actor import Actor
from apiauth.core.ceiling import UNBOUNDED, Ceiling
from apiauth.core.errors import Conflict, KeyAlreadyRevoked, NotAllowed
from apiauth.core.events import Event
from apiauth.core.scope import NOBODY, Owner
from apiauth.models import App, Departure, Key, KeyStatus
from apiauth.services.key_rows import lock_key, lock_open_app, record, written
from apiauth.services.keys.reach import check_comeback
from apiauth.services.text import plain_text

_REVOCATION = ("revoked_at", "revoked_reason", "revoked_by", "revoked_by_kind")


@transaction.atomic
def revoke_key(*, app_id: int, key_id: int, reason: str = "", actor: Actor, now: datetime) -> Key:
    """End a key: for good, unless its policy lets the revoke be undone. Raises NotFound outside the app,
    KeyAlreadyRevoked, Invalid for the reason.

    In a paused app a subject may change nothing (NotAllowed); the product and staff still may.
    """
    if actor.kind == "subject":
        lock_open_app(app_id, actor)
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
    app, key = lock_open_app(app_id, actor), lock_key(app_id, key_id)
    until = app.policy.revocation.undo_ends_at(key.revoked_at)
    if until is None:
        raise Conflict("This key is not revoked, or its app lets no revoke be undone.")
    if actor.kind == "subject" and key.revoked_by_kind != "subject":
        raise NotAllowed("This key was not revoked by one of its users, so only support can bring it back.")
    if actor.kind == "subject" and _has_lost_its_owner(app, key):
        raise NotAllowed("The user that this key belongs to was removed, so only support can bring it back.")
    if until <= now:
        raise Conflict("The time to undo this revoke has passed. Create a new key.")
    if key.ends_at is not None and key.ends_at <= now:
        raise Conflict("This key has ended meanwhile. Create a new one.")
    check_comeback(app, key, owner, ceiling, actor, now)
    details = {"name": key.name, "revoked_at": written(key.revoked_at), "reason": key.revoked_reason}
    key.revoked_at, key.revoked_reason, key.revoked_by, key.revoked_by_kind = None, None, "", ""
    key.updated_at = now
    key.save(update_fields=[*_REVOCATION, "updated_at"])
    record(Event.KEY_REVOKE_UNDONE, key, actor, now, details)
    return key


def _has_lost_its_owner(app: App, key: Key) -> bool:
    """Tell whether the key would have been revoked with its owner's removal, had it not been already."""
    if app.policy.scope.keys_outlive_creator or key.user_id is None:
        return False
    return Departure.objects.filter(app=app, subject_id=key.user_id, at__gte=key.revoked_at).exists()
