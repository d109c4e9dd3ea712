"""Subjects: the product's own users. It tells us when one of them is gone."""

from datetime import datetime
from typing import Any

from django.db import transaction

from apiauth.core.actor import Actor
from apiauth.core.errors import NotFound
from apiauth.core.events import Event
from apiauth.models import App, Departure, Key, Session, Ticket
from apiauth.models.fields import insert
from apiauth.services import activity, keys, mails
from apiauth.services.apps import find_app_id
from apiauth.services.key_rows import lock_app

_REASON = "Owner removed"


@transaction.atomic
def remove_subject(*, deployment_id: int, slug: str, subject_id: str, actor: Actor, now: datetime) -> Departure:
    """End a subject's access to an app: sessions and unused tickets at once, keys where the policy says so.

    Mails that wait for the subject are given up. The app's row is locked, so no key of the subject is made
    meanwhile. Removed again, a subject loses what it was given since. Raises NotFound for an app or a
    subject that is not known.
    """
    # Held so that a session which is being opened, and holds its ticket, may still refer to it.
    app = lock_app(find_app_id(deployment_id=deployment_id, slug=slug), is_open=False)
    if not _is_known(app, subject_id):
        raise NotFound("There is no such subject in this app.")
    sessions_ended = _end_access(app, subject_id, now)  # before keys and log: who ends a session takes it first
    owned = Key.objects.in_app(app.id).filter(user_id=subject_id).not_ended_for_good(now)
    if not app.policy.scope.keys_outlive_creator:
        # All of them before the first entry of the log: who revokes one elsewhere takes key and log in that order.
        locked = owned.order_by("id").select_for_update().values_list("id", flat=True)
        revoked = [_revoke(app, key_id, actor, now) for key_id in list(locked)]
    else:
        revoked = []
    found = {"sessions_ended": sessions_ended, "keys_revoked": len(revoked)}
    departure = _remember(app, subject_id, now, {**found, "keys_left": owned.count()})
    mails.give_up_without_recipient(app_id=app.pk, subject_id=subject_id)
    activity.record(
        Event.SUBJECT_REMOVED,
        actor=actor,
        now=now,
        deployment_id=app.deployment_id,
        app_id=app.id,
        details={"subject_id": subject_id, **found, "keys_left": departure.keys_left},
    )
    return departure


def _is_known(app: App, subject_id: str) -> bool:
    if "\x00" in subject_id or not 0 < len(subject_id) <= 200:  # no column can hold it
        return False
    rows = (Session.objects.in_app(app.id), Ticket.objects.filter(app_id=app.id))
    is_subject = any(found.filter(subject_id=subject_id).exists() for found in rows)
    return is_subject or Key.objects.in_app(app.id).filter(user_id=subject_id).exists()


def _revoke(app: App, key_id: int, actor: Actor, now: datetime) -> Key:
    return keys.revoke_key(app_id=app.id, key_id=key_id, reason=_REASON, actor=actor, now=now)


def _end_access(app: App, subject_id: str, now: datetime) -> int:
    """End the subject's sessions and use up its tickets; return how many sessions that were."""
    unused = Ticket.objects.filter(app_id=app.id, subject_id=subject_id, used_at=None, expires_at__gt=now)
    unused.update(used_at=now)
    live = Session.objects.in_app(app.id).filter(subject_id=subject_id, ended_at=None, expires_at__gt=now)
    return live.update(ended_at=now, ended_reason=_REASON)


def _remember(app: App, subject_id: str, now: datetime, counts: dict[str, Any]) -> Departure:
    known = Departure.objects.filter(app=app, subject_id=subject_id).first()
    if known is None:
        return insert(lambda: Departure(app=app, subject_id=subject_id, at=now, **counts))
    for name, value in {"at": now, **counts}.items():
        setattr(known, name, value)
    known.save(update_fields=["at", *counts])
    return known
