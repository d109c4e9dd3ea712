"""Tells of keys that end or must be rotated soon: 30, 7 and 1 days ahead, and once the moment has come.

Each step about a moment is told once, by an event and, where an address is known, by mail. Whoever
missed steps is told the nearest one alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef, Q

from apiauth.core.actor import SYSTEM
from apiauth.core.events import Event
from apiauth.core.policy import RotationMode
from apiauth.models import App, Departure, Key, KeyWarning, Session
from apiauth.models.fields import insert, violated_constraint
from apiauth.models.key import KeyQuerySet
from apiauth.services.key_rows import record, written

LATE = timedelta(days=30)  # what came longer ago, before anybody looked, is no news


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch of time before a moment: from `days` ahead down to the next step; 0 is once it has come."""

    days: int
    ends: timedelta
    begins: timedelta


STEPS = (
    Step(30, timedelta(days=7), timedelta(days=30)),
    Step(7, timedelta(days=1), timedelta(days=7)),
    Step(1, timedelta(0), timedelta(days=1)),
    Step(0, -LATE, timedelta(0)),
)


@dataclass(frozen=True, slots=True)
class _Found:
    key_id: int
    event: Event
    days: int


def tell_all(*, now: datetime, mails: bool) -> int:
    """Tell what is to be told now and was not; return how many warnings that were. Each is a transaction of its own."""
    found = [*_expiring(now), *_due(now)]
    return sum(_tell(each, now, mails=mails) for each in found)


def step_of(moment: datetime, created_at: datetime, now: datetime) -> Step | None:
    """Return the step that a moment is in; None where it is far, long past, or was so near from the beginning."""
    left = moment - now
    for step in STEPS:
        if step.ends < left <= step.begins:
            return step if step.days == 0 or moment - created_at > step.begins else None
    return None


def still_holds(warning: KeyWarning, now: datetime) -> bool:
    """Tell whether what was told is true yet: somebody may rely on the key, and its moment is the same.

    What was to come and has come is told by a warning of its own.
    """
    if warning.days and warning.moment <= now:
        return False
    is_living = _living(now).filter(pk=warning.key_id).exists()
    return is_living and _moment(warning.key, Event(warning.event), now) == warning.moment


def address_of(key: Key) -> str:
    """Return the e-mail address to write to about a key; "" for none, or for a text that is no address.

    It is the newest that an opened ticket named of the key's user or, where none did, of whoever made the
    key. Nobody is written to whom the product has removed since, and then nobody else is either.
    """
    for subject_id in filter(None, (key.user_id, key.created_by_id)):
        named = Session.objects.in_app(key.app_id).filter(subject_id=subject_id).exclude(subject_email="")
        session = named.order_by("-id").only("subject_email", "created_at").first()
        if session is not None:
            gone = Departure.objects.filter(app_id=key.app_id, subject_id=subject_id, at__gte=session.created_at)
            return "" if gone.exists() else _an_address(session.subject_email)
    return ""


def _an_address(text: str) -> str:
    try:
        validate_email(text)
    except ValidationError:
        return ""
    return text


def _expiring(now: datetime) -> Iterator[_Found]:
    for step in STEPS:
        event = Event.KEY_EXPIRING if step.days else Event.KEY_EXPIRED
        keys = _living(now).filter(expires_at__gt=now + step.ends, expires_at__lte=now + step.begins)
        if step.days:
            keys = keys.filter(created_at__lt=F("expires_at") - step.begins)
        told = KeyWarning.objects.filter(key_id=OuterRef("pk"), event=event, days=step.days)
        untold = keys.exclude(Exists(told.filter(moment=OuterRef("expires_at"))))
        for key_id in untold.values_list("pk", flat=True):
            yield _Found(key_id, event, step.days)


def _due(now: datetime) -> Iterator[_Found]:
    apps = App.objects.filter(deleted_at=None, policy__rotation__mode=RotationMode.REQUIRED.value)
    for app in apps:
        due = timedelta(days=app.policy.rotation.every_days)
        made = Q(created_at__lte=now + STEPS[0].begins - due, created_at__gt=now - due - LATE)
        if app.policy.rotation.enforced_from is not None:  # then keys of any age may be due only now
            made = Q(created_at__lte=now + STEPS[0].begins - due)
        for key in _living(now).active_at(now).filter(made, app_id=app.pk):
            moment = key.rotation_deadline(app.policy.rotation)
            step = step_of(moment, key.created_at, now) if moment else None
            if step is None or moment is None:
                continue
            event = Event.KEY_ROTATION_DUE if step.days else Event.KEY_ROTATION_OVERDUE
            if not KeyWarning.objects.filter(key=key, event=event, days=step.days, moment=moment).exists():
                yield _Found(key.pk, event, step.days)


def _living(now: datetime) -> KeyQuerySet:
    """Return the keys that somebody may still rely on: nobody ended them, and they have no successor."""
    return Key.objects.not_ended(now).newest_of_lineage().filter(app__deleted_at=None)


@transaction.atomic
def _tell(found: _Found, now: datetime, *, mails: bool) -> bool:
    """Write warning and event, unless the key has changed meanwhile or another process was faster."""
    locked = Key.objects.select_for_update(of=("self",)).select_related("app")
    key = locked.filter(pk__in=_living(now).filter(pk=found.key_id)).first()
    moment = _moment(key, found.event, now) if key else None
    step = step_of(moment, key.created_at, now) if key and moment else None
    if key is None or moment is None or step is None or step.days != found.days:
        return False
    recipient = address_of(key) if mails else ""
    try:
        insert(
            lambda: KeyWarning(
                key=key,
                event=found.event,
                days=found.days,
                moment=moment,
                told_at=now,
                recipient=recipient,
                mail_due_at=now if recipient else None,
            )
        )
    except IntegrityError as error:
        if violated_constraint(error) != "key_warning_once_a_step":
            raise
        return False
    details = {"name": key.name, "days": found.days, "moment": written(moment)}
    record(found.event, key, SYSTEM, now, details)
    return True


def _moment(key: Key, event: Event, now: datetime) -> datetime | None:
    """Return the moment that an event is about; None where there is none, as for a key that is past being rotated."""
    if event in (Event.KEY_EXPIRING, Event.KEY_EXPIRED):
        return key.expires_at
    return key.rotation_deadline(key.app.policy.rotation) if key.is_active(now) else None
