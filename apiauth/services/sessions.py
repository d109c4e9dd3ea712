"""Sessions: what a ticket is exchanged for, found again at every request, and ended."""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from django.conf import settings
from django.db import IntegrityError, transaction

from apiauth.core import roles
from apiauth.core.actor import Actor
from apiauth.core.errors import NotAllowed, NotFound, TicketRefused
from apiauth.core.events import Event
from apiauth.core.roles import Action, Role
from apiauth.core.scope import owns
from apiauth.core.secrets import (
    SESSION_PREFIX,
    TICKET_PREFIX,
    SecretKind,
    checksum_matches,
    is_well_formed,
    new_secret,
    prefix_of,
)
from apiauth.models import App, Key, Session, Ticket
from apiauth.models.fields import insert
from apiauth.services import activity, tickets
from apiauth.services.live_sessions import find_live

_SEEN_EVERY = timedelta(seconds=60)
_CARRIED_OVER = (
    "deployment_id",
    "subject_id",
    "subject_name",
    "subject_email",
    "organization_id",
    "workspace_id",
    "role",
    "permissions",
    "longest_expiry_days",
    "key_cap",
    "metadata",
    "return_url",
    "theme",
    "locale",
)

TicketState = Literal["ready", "used", "expired", "unknown"]


@dataclass(frozen=True, slots=True)
class TicketView:
    """What a look at a ticket shows; looking consumes nothing."""

    state: TicketState
    ticket: Ticket | None = None

    @property
    def app(self) -> App | None:
        """Return the ticket's app, deleted or not, where the ticket is known."""
        return self.ticket.app if self.ticket else None


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session in the one moment in which its token exists."""

    session: Session
    token: str = field(repr=False)


def look_at_ticket(text: str, *, now: datetime) -> TicketView:
    """Tell what a ticket is, for its landing page."""
    ticket = _find_ticket(text)
    if ticket is None:
        return TicketView("unknown")
    if ticket.used_at is not None:
        return TicketView("used", ticket)
    return TicketView("expired" if ticket.is_expired(now) else "ready", ticket)


def exchange_ticket(
    text: str,
    *,
    client_ip: str | None,
    user_agent: str,
    now: datetime,
    via: Literal["portal", "session_api"],
    replaces: Session | None = None,
    code_verifier: str | None = None,
) -> OpenedSession:
    """Use up a ticket and open a session of its app; a session that it replaces ends.

    Raises TicketRefused for an unknown, used or expired ticket, or a wrong verifier (which does
    not use it up), NotFound where its app was deleted. Of two calls at once one wins. That a known
    ticket was refused is noted, apart from what is undone.
    """
    ticket = _find_ticket(text)
    try:
        if ticket is None or not _verifier_matches(ticket, code_verifier):
            raise TicketRefused
        return _exchange(ticket, client_ip=client_ip, user_agent=user_agent, now=now, via=via, replaces=replaces)
    except TicketRefused:
        if ticket is not None:
            _note_refusal(ticket, client_ip=client_ip, user_agent=user_agent, now=now, via=via)
        raise


@transaction.atomic
def _exchange(
    ticket: Ticket,
    *,
    client_ip: str | None,
    user_agent: str,
    now: datetime,
    via: Literal["portal", "session_api"],
    replaces: Session | None,
) -> OpenedSession:
    if ticket.app.deleted_at is not None:
        raise NotFound("This page isn't available any more.")
    unused = Ticket.objects.filter(pk=ticket.pk, used_at=None, expires_at__gt=now)
    if unused.update(used_at=now) != 1:
        raise TicketRefused
    opened = _open(ticket, client_ip=client_ip, user_agent=user_agent, now=now)
    if replaces is not None:
        end_session(replaces, reason="replaced", now=now, via=via)
    activity.record(
        Event.SESSION_OPENED,
        actor=actor_of(opened.session, via=via, client_ip=client_ip, user_agent=user_agent),
        now=now,
        deployment_id=ticket.deployment_id,
        app_id=ticket.app_id,
        details={"ticket": str(ticket.id), "role": ticket.role, "subject_id": ticket.subject_id},
    )
    return opened


def _note_refusal(
    ticket: Ticket, *, client_ip: str | None, user_agent: str, now: datetime, via: Literal["portal", "session_api"]
) -> None:
    """Note it of whoever holds the ticket: that need not be the one it was made for."""
    holder = Actor(kind="subject", id="", name="Somebody", client_ip=client_ip, user_agent=user_agent, via=via)
    tickets.note_refusal(
        deployment_id=ticket.deployment_id,
        app_id=ticket.app_id,
        details={"at": "exchange", "ticket": str(ticket.pk)},
        actor=holder,
        now=now,
    )


def find_session(token: str, *, now: datetime) -> Session | None:
    """Return the live session that this token is, with its app; note at most once a minute that it was seen.

    None where it is unknown, ended, idle for too long, past its absolute end, or its app is deleted.
    """
    if not (is_well_formed(token) and prefix_of(token) == SESSION_PREFIX and checksum_matches(token)):
        return None
    digests = settings.ENVIRONMENT.peppers.digests(SecretKind.SESSION, token)
    session = find_live(digests, now=now)
    if session is None or now - session.last_seen_at > idle_limit():
        return None
    if now - session.last_seen_at >= _SEEN_EVERY:
        Session.objects.filter(pk=session.pk).update(last_seen_at=now)
        session.last_seen_at = now
    return session


def find_embedded_session(token: str, *, now: datetime) -> Session | None:
    """Return the live session that this token is, if its deployment embeds Keystead in pages of other sites."""
    session = find_session(token, now=now)
    return session if session is not None and session.app.deployment.is_embedded else None


def find_key(
    session: Session, key_id: int, action: Action, *, is_change: bool = True, actor: Actor, now: datetime
) -> Key:
    """Return a key within the session's scope to which its role may do this. Raises as `require_key` does."""
    key = Key.objects.within(session.reach).filter(pk=key_id).first()
    return require_key(session, key, action, is_change=is_change, actor=actor, now=now)


def require_key(
    session: Session, key: Key | None, action: Action, *, is_change: bool, actor: Actor, now: datetime
) -> Key:
    """Return a key that was found within the session's scope if its role may do this to it.

    `action` is the one on the subject's own keys; on another it takes its counterpart. Raises
    NotFound where none was found, whether it is outside the scope or nowhere, NotAllowed beyond the role.
    """
    if key is None:
        raise NotFound("This key doesn't exist, or it belongs to another app.")
    wanted = roles.about_key(action, is_own=owns(session.owner, key.owner))
    authorize(session, wanted, is_change=is_change, actor=actor, now=now, key_id=key.id)
    return key


def may(session: Session, action: Action, key: Key | None = None) -> bool:
    """Tell whether the session's role reaches an action, on one key where one is given."""
    wanted = action if key is None else roles.about_key(action, is_own=owns(session.owner, key.owner))
    return roles.may(session.app.policy.authority, Role(session.role), wanted)


def authorize(
    session: Session, action: Action, *, is_change: bool, actor: Actor, now: datetime, key_id: int | None = None
) -> None:
    """Return if the session's role reaches the action; raise NotAllowed if not.

    A refused attempt to change something stands in the activity log; a look at a page does not.
    """
    try:
        roles.require(session.app.policy.authority, Role(session.role), action, app_name=session.app.name)
    except NotAllowed:
        if is_change:
            activity.record(
                Event.SESSION_DENIED,
                actor=actor,
                now=now,
                deployment_id=session.deployment_id,
                app_id=session.app_id,
                key_id=key_id,
                details={"action": action, "role": session.role},
            )
        raise


def ends_at(session: Session) -> datetime:
    """Return when the session ends if nothing more is asked of it."""
    return min(session.expires_at, session.last_seen_at + idle_limit())


def idle_limit() -> timedelta:
    """Return how long a session lasts without a request."""
    return timedelta(seconds=settings.ENVIRONMENT.session_idle_seconds)


@transaction.atomic
def end_session(
    session: Session,
    *,
    reason: str,
    now: datetime,
    via: Literal["portal", "session_api", "admin"],
    actor: Actor | None = None,
) -> None:
    """End a session; ending it twice changes nothing. `actor` is who ends it, unless the subject does."""
    live = Session.objects.filter(pk=session.pk, ended_at=None)
    if live.update(ended_at=now, ended_reason=reason) == 0:
        return
    activity.record(
        Event.SESSION_ENDED,
        actor=actor or actor_of(session, via=via, client_ip=session.client_ip, user_agent=session.user_agent),
        now=now,
        deployment_id=session.deployment_id,
        app_id=session.app_id,
        details={"session": str(session.id), "reason": reason},
    )


def actor_of(
    session: Session,
    *,
    via: Literal["portal", "session_api", "admin"],
    client_ip: str | None,
    user_agent: str,
) -> Actor:
    """Return the subject of a session as the one who acts."""
    return Actor(
        kind="subject",
        id=session.subject_id or f"session:{session.id}",
        name=session.display_name,
        email=session.subject_email,
        client_ip=client_ip,
        user_agent=user_agent[:400],
        via=via,
        session_id=session.id,
    )


def _find_ticket(text: str) -> Ticket | None:
    if not (is_well_formed(text) and prefix_of(text) == TICKET_PREFIX and checksum_matches(text)):
        return None
    digests = settings.ENVIRONMENT.peppers.digests(SecretKind.TICKET, text)
    return Ticket.objects.select_related("app").filter(digest__in=digests).first()


def _verifier_matches(ticket: Ticket, verifier: str | None) -> bool:
    """Compare a verifier with the challenge of the ticket's issue (RFC 7636, section 4.6, S256)."""
    if not ticket.code_challenge:
        return True
    digest = hashlib.sha256((verifier or "").encode()).digest()
    answer = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return hmac.compare_digest(answer, ticket.code_challenge)


def _open(ticket: Ticket, *, client_ip: str | None, user_agent: str, now: datetime) -> OpenedSession:
    secret = new_secret(SecretKind.SESSION, SESSION_PREFIX, settings.ENVIRONMENT.peppers)
    lifetime = timedelta(seconds=settings.ENVIRONMENT.session_most_seconds)
    carried = {name: getattr(ticket, name) for name in _CARRIED_OVER}

    def make() -> Session:
        return Session(
            app=ticket.app,
            ticket=ticket,
            digest=secret.digest,
            pepper_version=secret.pepper_version,
            client_ip=client_ip,
            user_agent=user_agent[:400],
            created_at=now,
            last_seen_at=now,
            expires_at=now + lifetime,
            **carried,
        )

    try:
        return OpenedSession(insert(make), secret.text)
    except IntegrityError:
        raise TicketRefused from None
