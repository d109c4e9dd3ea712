"""Sends the mails of warnings: at least once each, and once where the server's answer was clear."""

import smtplib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend
from django.db import transaction
from django.db.models import Count, Min, Q

from apiauth.core.events import Event
from apiauth.models import Key, KeyWarning
from apiauth.services import key_warnings

FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)
MOST_AT_ONCE = 1000

log = structlog.get_logger(__name__)


def send_due(*, now: datetime) -> int:
    """Send what is due, over one connection; return how many were taken by the server.

    A warning's row is held while its mail is sent, so no two processes send it. What a server does not
    take is tried again later, ever more rarely; an address that it refuses for good is given up, and so is a
    mail that is no longer true, or has nobody to go to any more.
    """
    sent, connection = 0, EmailBackend(**_server().connection_options())
    try:
        for _ in range(MOST_AT_ONCE):
            outcome = _send_next(connection, now)
            if outcome is None:
                break
            sent += outcome
    finally:
        connection.close()
    return sent


def has_due(*, now: datetime) -> bool:
    """Tell whether a mail waits to be sent."""
    return KeyWarning.objects.to_mail(now).exists()


@dataclass(frozen=True, slots=True)
class Unsent:
    """How many mails wait to be sent, or to be tried again, and for how many seconds the oldest has."""

    count: int
    seconds: float


def unsent(*, now: datetime) -> Unsent:
    """Return what waits: mails that a server has not taken, and has not refused for good."""
    found = KeyWarning.objects.unsent().aggregate(count=Count("pk"), oldest=Min("told_at"))
    return Unsent(found["count"], (now - found["oldest"]).total_seconds() if found["oldest"] else 0.0)


def give_up_without_recipient(*, app_id: int, subject_id: str) -> None:
    """Give up the mails about a subject's keys that wait and have nobody to go to: the subject was removed.

    A mail that is being sent at this moment is left alone, as nothing could call it back. Where the server does
    not take it, it is given up at its next turn.
    """
    of_subject = Q(key__user_id=subject_id) | Q(key__created_by_id=subject_id)
    waiting = KeyWarning.objects.unsent().filter(of_subject, key__app_id=app_id)
    for warning in waiting.select_related("key").select_for_update(skip_locked=True, of=("self",)):
        if not key_warnings.address_of(warning.key):
            _give_up(warning)


@transaction.atomic
def _send_next(connection: EmailBackend, now: datetime) -> bool | None:
    """Try the next mail; return whether the server took it, None where none is left or the server fails.

    Key and recipient are looked at again: a mail may have waited for days.
    """
    due = KeyWarning.objects.to_mail(now).select_for_update(skip_locked=True, of=("self",))
    warning = due.select_related("key", "key__app").first()
    if warning is None:
        return None
    warning.recipient = key_warnings.address_of(warning.key) if key_warnings.still_holds(warning, now) else ""
    if not warning.recipient:
        _give_up(warning)
        return False
    warning.mail_attempts += 1
    try:
        connection.open()
        connection.send_messages([_message(warning)])
    except smtplib.SMTPRecipientsRefused as refusal:
        codes = [code for code, _ in refusal.recipients.values()]
        _put_off(warning, now, is_final=all(code >= 500 for code in codes), kind=f"refused {codes}")
        return False
    except ValueError as error:  # an address that cannot be written on the wire
        _put_off(warning, now, is_final=True, kind=type(error).__name__)
        return False
    except smtplib.SMTPDataError as refusal:
        _put_off(warning, now, is_final=refusal.smtp_code >= 500, kind=f"refused {refusal.smtp_code}")
        return False
    except (smtplib.SMTPException, OSError) as error:
        _put_off(warning, now, is_final=False, kind=type(error).__name__)
        connection.close()  # whatever state it is in, the next mail begins afresh
        return None  # a server that is silent is not waited for again in this round
    warning.mail_sent_at, warning.mail_due_at = now, None
    warning.save(update_fields=["recipient", "mail_attempts", "mail_sent_at", "mail_due_at"])
    return True


def _give_up(warning: KeyWarning) -> None:
    warning.mail_due_at = None
    warning.save(update_fields=["mail_due_at"])


def _put_off(warning: KeyWarning, now: datetime, *, is_final: bool, kind: str) -> None:
    pause = min(FIRST_PAUSE * 2 ** min(warning.mail_attempts - 1, 10), LONGEST_PAUSE)
    warning.mail_due_at = None if is_final else now + pause
    warning.save(update_fields=["recipient", "mail_attempts", "mail_due_at"])
    log.error("mail.not_sent", warning=str(warning.pk), kind=kind, attempts=warning.mail_attempts, given_up=is_final)


def _server() -> Any:
    server = settings.ENVIRONMENT.email
    assert server is not None, "nobody asks for mails where no server is set"
    return server


def _message(warning: KeyWarning) -> EmailMessage:
    host = urlsplit(settings.ENVIRONMENT.public_url).hostname
    headers = {"Message-ID": f"<warning-{warning.pk}@{host}>", "Auto-Submitted": "auto-generated"}
    return EmailMessage(_subject(warning), _body(warning), _server().sender, [warning.recipient], headers=headers)


def _subject(warning: KeyWarning) -> str:
    key, when = warning.key, f"{warning.moment:%-d %B %Y}"
    return {
        Event.KEY_EXPIRING: f"API key “{key.name}” of {key.app.name} ends on {when}",
        Event.KEY_EXPIRED: f"API key “{key.name}” of {key.app.name} has ended",
        Event.KEY_ROTATION_DUE: f"Rotate API key “{key.name}” of {key.app.name} by {when}",
        Event.KEY_ROTATION_OVERDUE: f"API key “{key.name}” of {key.app.name} is overdue for rotation",
    }[Event(warning.event)]


_ADVICE = {
    Event.KEY_EXPIRING: "From then on calls with it are blocked. Put a new key in its place before.",
    Event.KEY_EXPIRED: "Calls with it are blocked now. Put a new key in its place.",
    Event.KEY_ROTATION_DUE: "Rotate it before: you get a new secret, and the old one can go on working for a while.",
    Event.KEY_ROTATION_OVERDUE: "Rotate it now: you get a new secret, and the old one can go on working for a while.",
}


def _body(warning: KeyWarning) -> str:
    key, event = warning.key, Event(warning.event)
    return "\n".join(
        [
            f"Key:   {key.name} ({key.key_prefix}_…{key.key_suffix})",
            f"App:   {key.app.name}",
            f"When:  {warning.moment:%Y-%m-%d %H:%M} UTC",
            "",
            _ADVICE[event] + _block(key, event),
            *(["", f"Manage your keys: {key.app.return_url}"] if key.app.return_url else []),
            "",
            "You get this mail because the key belongs to you, or because you made it. It holds no secret.",
        ]
    )


def _block(key: Key, event: Event) -> str:
    blocks_at = key.app.policy.rotation.blocks_at(key.created_at)
    if event not in (Event.KEY_ROTATION_DUE, Event.KEY_ROTATION_OVERDUE) or blocks_at is None:
        return ""
    return f" If it is not rotated, its calls are blocked from {blocks_at:%Y-%m-%d %H:%M} UTC on."
