"""The checklist before an app goes live, walked by what the logs prove."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser

from apiauth.core.environment import Environment
from apiauth.core.events import Event
from apiauth.models import ActivityEntry, App, Ticket
from apiauth.models.activity import app_chain, deployment_chain

LATELY = timedelta(days=1)
REFUSED_WITHIN = timedelta(days=30)
LOOKED_WITHIN = timedelta(days=30)
NOT_BY_PEOPLE: Final = ("command", "system")
_LOGS: Final = ("apiauth.view_decision", "apiauth.view_activityentry")


class State(StrEnum):
    """Whether an item of the list is proved."""

    OK = "ok"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Item:
    """One item of the list: what proves it, and what to do where nothing does."""

    name: str
    state: State
    evidence: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of asking for a page: True if it is there, False if not, None where nobody can tell."""

    is_there: bool | None
    words: str


Asker = Callable[[str], Answer]


def checklist(app: App, *, now: datetime, ask: Asker | None = None) -> list[Item]:
    """Return every item in the order of the list. `ask` fetches the customers' page; without it that is not asked."""
    return [
        _gate(app, now),
        _expiry(app, now),
        _environment(app),
        *(_flow(app, name, event, now) for name, event in _FLOWS.items()),
        _staff(now),
        _docs(app, ask),
    ]


def _gate(app: App, now: datetime) -> Item:
    """See that a ticket, or a session beyond its role, was refused lately: the gate is shut to somebody."""
    of_app = ActivityEntry.objects.in_chain(app_chain(app.pk))
    of_deployment = ActivityEntry.objects.in_chain(deployment_chain(app.deployment_id))
    seen = [
        of_app.newest_of(Event.TICKET_REFUSED),
        of_app.newest_of(Event.SESSION_DENIED),
        of_deployment.newest_of(Event.TICKET_REFUSED),
    ]
    newest = max((entry for entry in seen if entry), key=lambda entry: entry.at, default=None)
    if newest is not None and now - newest.at <= REFUSED_WITHIN:
        return Item("ticket_gate", State.OK, _words(newest))
    advice = (
        "See your backend refuse a user who may not manage keys, then open a link a second time, or try a change "
        "with the role viewer: Keystead notes its own refusal. What your backend refuses does not reach it."
    )
    return Item("ticket_gate", State.MISSING, f"nothing was refused in {REFUSED_WITHIN.days} days", advice)


def _expiry(app: App, now: datetime) -> Item:
    """Tell how long the tickets of the last day lived."""
    rows = Ticket.objects.filter(app_id=app.pk, created_at__gt=now - LATELY)
    lives = [ticket.lifetime_seconds() for ticket in rows.order_by("-id")[:1000]]
    bound = f"no ticket can live longer than {settings.ENVIRONMENT.ticket_most_seconds} s"
    if not lives:
        advice = "Let your backend issue a ticket, and look again within a day."
        return Item("ticket_expiry", State.UNKNOWN, f"no ticket in the last day; {bound}", advice)
    return Item("ticket_expiry", State.OK, f"the longest of {len(lives)} lived for {max(lives)} s; {bound}")


def _environment(app: App) -> Item:
    """See that the keys which customers will get do not say that they are for trying out."""
    evidence = f"keys begin with {app.key_prefix}_"
    if app.environment is Environment.TEST:
        advice = "Give customers keys of another app, whose prefix ends in _live, and keep this one for trying out."
        return Item("environment", State.MISSING, f"{evidence}, which says test", advice)
    return Item("environment", State.OK, evidence)


_FLOWS: Final = {"key_create": Event.KEY_CREATED, "key_rotate": Event.KEY_ROTATED, "key_revoke": Event.KEY_REVOKED}


def _flow(app: App, name: str, event: Event, now: datetime) -> Item:
    """See that somebody did it in the last day, by a door that people use: a command's own key proves nothing."""
    entries = ActivityEntry.objects.in_chain(app_chain(app.pk)).exclude(via__in=NOT_BY_PEOPLE)
    newest = entries.newest_of(event)
    if newest is not None and now - newest.at <= LATELY:
        return Item(name, State.OK, _words(newest))
    evidence = f"not in the last day; before that {_words(newest)}" if newest else "never"
    word = name.removeprefix("key_")
    return Item(name, State.MISSING, evidence, f"Go in with a ticket and {word} a key, as a customer would.")


def _staff(now: datetime) -> Item:
    """See that somebody who may read both logs has been in the admin lately."""
    people = [user for user in _active_staff() if user.has_perms(_LOGS)]
    if not people:
        advice = "In the admin, put a person on the staff and into the group Support viewer."
        return Item("staff_logs", State.MISSING, "nobody on the staff may read decisions and activity", advice)
    newest = max((user.last_login for user in people if user.last_login), default=None)
    count = f"{len(people)} on the staff may read both logs"
    if newest is None or now - newest > LOOKED_WITHIN:
        advice = "Let one of them log in and open Decisions and Activity entries."
        return Item("staff_logs", State.UNKNOWN, f"{count}; none logged in within {LOOKED_WITHIN.days} days", advice)
    return Item("staff_logs", State.OK, f"{count}; the last log-in at {_moment(newest)}")


def _active_staff() -> list[AbstractUser]:
    users = get_user_model()._default_manager
    return list(users.filter(is_staff=True, is_active=True).order_by("pk")[:1000])


def _docs(app: App, ask: Asker | None) -> Item:
    if not app.docs_url:
        advice = "Publish how to handle keys, then set docs_url of the app (docs/how-to/tell-your-customers.md)."
        return Item("customer_docs", State.MISSING, "no docs_url is set", advice)
    if ask is None:
        return Item("customer_docs", State.UNKNOWN, f"{app.docs_url} is set, and was not asked", "Ask it with --fetch.")
    answer = ask(app.docs_url)
    state = {True: State.OK, False: State.MISSING, None: State.UNKNOWN}[answer.is_there]
    advice = "" if state is State.OK else "Open it in a browser, and correct docs_url of the app."
    return Item("customer_docs", state, f"{app.docs_url}: {answer.words}", advice)


def _words(entry: ActivityEntry) -> str:
    return f"{entry.event} at {_moment(entry.at)} by {entry.via}, entry {entry.sequence} of {entry.chain_id}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
