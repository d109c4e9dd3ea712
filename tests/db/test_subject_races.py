"""A subject is removed at the very moment at which it comes or goes: nothing of it stays, and neither act is lost."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from apiauth.core.actor import Actor
from apiauth.core.errors import NotAuthenticated
from apiauth.core.policy import read_policy
from apiauth.core.scope import Owner
from apiauth.models import App, Departure, Key, Session
from apiauth.services import activity, key_edits, keys, sessions, subjects, tickets
from tests.support.races import at_once
from tests.support.rows import every_row

pytestmark = pytest.mark.django_db(transaction=True)
Remove = Callable[[], Departure]


@pytest.fixture
def meet(monkeypatch: pytest.MonkeyPatch) -> Callable[[object, str], None]:
    """Hold a service before one of its steps until another one is before its own."""
    both = threading.Barrier(2)

    def hold(service: object, step: str) -> None:
        take = getattr(service, step)

        def meet_and_take(*given: Any, **named: Any) -> Any:
            both.wait(10)
            return take(*given, **named)

        monkeypatch.setattr(service, step, meet_and_take)

    return hold


@pytest.fixture
def remove(app: App, make_key: Callable[..., keys.IssuedKey], actor: Actor, now: datetime) -> Remove:
    """Return what removes Dana, whose keys end with her access."""
    App.objects.filter(pk=app.pk).update(policy=read_policy({"scope": {"keys_outlive_creator": False}}))
    make_key(owner=Owner(user_id="dana"))
    by: dict[str, Any] = {"actor": actor, "now": now}
    return partial(subjects.remove_subject, deployment_id=app.deployment_id, slug=app.slug, subject_id="dana", **by)


def assert_nothing_is_left(app: App) -> None:
    assert not Session.objects.filter(ended_at=None).exists()
    assert not Key.objects.filter(revoked_at=None).exists()
    assert Departure.objects.get().keys_left == 0
    assert activity.verify_chain(activity.chain_name(deployment_id=None, app_id=app.pk)) is None


def test_a_subject_that_is_removed_while_its_ticket_is_used_has_no_session_left(
    app: App,
    remove: Remove,
    make_ticket: Callable[..., tickets.IssuedTicket],
    meet: Callable[[object, str], None],
    now: datetime,
) -> None:
    ticket = make_ticket(subject_id="dana")
    meet(sessions, "_open")  # the ticket is used up, and no session refers to its app yet
    meet(subjects, "_end_access")
    exchange = partial(sessions.exchange_ticket, ticket.text, client_ip=None, user_agent="", now=now, via="portal")
    assert at_once([exchange, remove], refusals=()) == []
    assert Session.objects.get().ended_reason == "Owner removed"
    assert_nothing_is_left(app)


def test_a_subject_is_removed_while_it_logs_out(
    app: App,
    remove: Remove,
    session_for: Callable[..., sessions.OpenedSession],
    meet: Callable[[object, str], None],
    now: datetime,
) -> None:
    opened = session_for(subject_id="dana")
    meet(sessions, "actor_of")  # the session is ended, and the log does not say so yet
    meet(subjects, "_end_access")
    log_out = partial(sessions.end_session, opened.session, reason="logout", now=now, via="portal")
    assert at_once([log_out, remove], refusals=()) == []
    assert Session.objects.get().ended_reason == "logout"
    assert_nothing_is_left(app)


ACTS: dict[str, tuple[Callable[..., object], dict[str, Any]]] = {
    "revoke": (keys.revoke_key, {}),
    "undo a revoke": (keys.undo_revoke, {}),
    "disable": (keys.disable_key, {}),
    "enable": (keys.enable_key, {}),
    "rotate": (keys.rotate_key, {}),
    "change an overlap": (keys.change_overlap, {"until": timedelta(hours=1)}),
    "end an overlap": (keys.end_overlap, {}),
    "edit": (key_edits.edit_key, {"changes": {"name": "Renamed"}}),
}
ON_THE_WAY = {
    "undo a revoke": keys.revoke_key,
    "enable": keys.disable_key,
    "change an overlap": partial(keys.rotate_key, overlap=timedelta(days=1)),
    "end an overlap": partial(keys.rotate_key, overlap=timedelta(days=1)),
}


@pytest.fixture
def late(app: App, session_for: Callable[..., sessions.OpenedSession], remove: Remove) -> Actor:
    """Return Dana as she was recognised, who is removed before she acts."""
    App.objects.filter(pk=app.pk).update(policy=read_policy({"revocation": {"undo_minutes": 10}}))
    opened = session_for(subject_id="dana")
    by = sessions.actor_of(opened.session, via="portal", client_ip=None, user_agent="")
    remove()
    return by


@pytest.mark.parametrize("what", ACTS)
def test_whose_session_has_ended_since_it_was_looked_at_changes_no_key(
    app: App, make_key: Callable[..., keys.IssuedKey], actor: Actor, late: Actor, now: datetime, *, what: str
) -> None:
    where = {"app_id": app.pk, "key_id": make_key().key.pk, "now": now}
    if what in ON_THE_WAY:
        ON_THE_WAY[what](**where, actor=actor)
    act, given = ACTS[what]
    if "until" in given:
        given = {"until": now + given["until"]}
    rows = every_row()
    with pytest.raises(NotAuthenticated):
        act(**where, **given, actor=late)
    assert every_row() == rows


def test_whose_session_has_ended_since_it_was_looked_at_makes_no_key(
    make_key: Callable[..., keys.IssuedKey], late: Actor
) -> None:
    rows = every_row()
    with pytest.raises(NotAuthenticated):
        make_key(actor=late)
    assert every_row() == rows
