"""A ticket opens one session, once, in its time, for its app."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import connection, connections

from apiauth.core.actor import Actor
from apiauth.core.errors import Invalid, KeysteadError, NotFound, TicketRefused, Unprocessable
from apiauth.models import App, Session, Ticket
from apiauth.services import apps, sessions
from apiauth.services.tickets import IssuedTicket

MakeTicket = Callable[..., IssuedTicket]


def exchange(text: str, *, now: datetime, **fields: object) -> sessions.OpenedSession:
    return sessions.exchange_ticket(
        text,
        client_ip="192.0.2.1",
        user_agent="tests",
        now=now,
        via="portal",
        **fields,  # type: ignore[arg-type]
    )


def test_a_ticket_opens_a_session_no_wider_than_itself(make_ticket: MakeTicket, app: App, now: datetime) -> None:
    ticket = make_ticket(role="viewer", subject_id="u7", permissions=["routes:read"], key_cap=3)
    session = exchange(ticket.text, now=now).session
    assert (session.app_id, session.role, session.subject_id) == (app.id, "viewer", "u7")
    assert (session.permissions, session.key_cap) == (["routes:read"], 3)


def test_a_used_ticket_is_refused_and_known_as_used(make_ticket: MakeTicket, now: datetime) -> None:
    ticket = make_ticket()
    exchange(ticket.text, now=now)
    with pytest.raises(TicketRefused):
        exchange(ticket.text, now=now)
    assert sessions.look_at_ticket(ticket.text, now=now).state == "used"


def test_a_ticket_ends_after_its_time(make_ticket: MakeTicket, now: datetime) -> None:
    ticket = make_ticket(expires_in=60, issued_at=now)
    late = now + timedelta(seconds=60)
    assert sessions.look_at_ticket(ticket.text, now=late).state == "expired"
    with pytest.raises(TicketRefused):
        exchange(ticket.text, now=late)


def test_looking_at_a_ticket_uses_nothing_up(make_ticket: MakeTicket, now: datetime) -> None:
    ticket = make_ticket()
    for _ in range(3):
        assert sessions.look_at_ticket(ticket.text, now=now).state == "ready"
    assert exchange(ticket.text, now=now).session.pk


@pytest.mark.parametrize(
    "spoil", [str.upper, lambda t: t + " ", lambda t: " " + t, lambda t: t[:-1], lambda t: t + "\n"]
)
def test_a_ticket_that_is_not_to_the_letter_is_unknown(
    make_ticket: MakeTicket, now: datetime, spoil: Callable[[str], str]
) -> None:
    assert sessions.look_at_ticket(spoil(make_ticket().text), now=now).state == "unknown"


@pytest.mark.django_db(transaction=True)
def test_of_twelve_exchanges_at_once_one_wins(make_ticket: MakeTicket, now: datetime) -> None:
    ticket = make_ticket()
    barrier = threading.Barrier(6)
    outcomes: list[str] = []

    def try_it() -> None:
        barrier.wait()
        for _ in range(2):
            try:
                exchange(ticket.text, now=now)
                outcomes.append("opened")
            except TicketRefused:
                outcomes.append("refused")
        connections.close_all()

    threads = [threading.Thread(target=try_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["opened"] + ["refused"] * 11
    assert Session.objects.count() == 1


def test_the_life_is_bounded_and_says_so(make_ticket: MakeTicket) -> None:
    with pytest.raises(Unprocessable) as refusal:
        make_ticket(expires_in=301)
    assert (refusal.value.field, "300" in refusal.value.message) == ("expires_in", True)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"expires_in": 0}, Invalid),
        ({"expires_in": -1}, Invalid),
        ({"expires_in": 1.5}, Invalid),
        ({"expires_in": "60"}, Invalid),
        ({"expires_in": True}, Invalid),
        ({"expires_in": 10**12}, Unprocessable),
        ({"role": "root"}, Invalid),
        ({"subject_id": "x" * 10_240}, Invalid),
        ({"subject_name": "a\x00b"}, Invalid),
        ({"return_url": "https://evil.example/"}, Unprocessable),
        ({"return_url": "javascript:alert(1)"}, Unprocessable),
        ({"key_cap": 0}, Invalid),
    ],
)
def test_a_bad_ticket_is_not_issued(
    make_ticket: MakeTicket, fields: dict[str, object], kind: type[KeysteadError]
) -> None:
    with pytest.raises(kind) as refusal:
        make_ticket(**fields)
    assert refusal.value.field
    assert Ticket.objects.count() == 0


def test_a_ticket_of_a_deleted_app_opens_nothing(
    make_ticket: MakeTicket, app: App, actor: Actor, now: datetime
) -> None:
    ticket = make_ticket()
    apps.delete_app(deployment_id=app.deployment_id, slug=app.slug, actor=actor, now=now)
    with pytest.raises(NotFound):
        exchange(ticket.text, now=now)
    assert Ticket.objects.get().used_at is None


def test_a_wrong_verifier_does_not_use_the_ticket_up(make_ticket: MakeTicket, now: datetime) -> None:
    challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"  # RFC 7636, appendix B
    ticket = make_ticket(code_challenge=challenge)
    with pytest.raises(TicketRefused):
        exchange(ticket.text, now=now, code_verifier="wrong")
    assert exchange(ticket.text, now=now, code_verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").session.pk


def test_a_session_ends_when_idle_at_its_absolute_end_and_on_leaving(make_ticket: MakeTicket, now: datetime) -> None:
    opened = exchange(make_ticket().text, now=now)
    assert sessions.find_session(opened.token, now=now + timedelta(minutes=29))
    assert sessions.find_session(opened.token, now=now + timedelta(minutes=60)) is None
    Session.objects.update(last_seen_at=now + timedelta(hours=8))
    assert sessions.find_session(opened.token, now=now + timedelta(hours=8)) is None
    Session.objects.update(last_seen_at=now)
    sessions.end_session(opened.session, reason="left", now=now, via="portal")
    assert sessions.find_session(opened.token, now=now) is None


def test_a_new_ticket_replaces_the_session_and_never_reuses_it(make_ticket: MakeTicket, now: datetime) -> None:
    first = exchange(make_ticket().text, now=now)
    second = exchange(make_ticket().text, now=now, replaces=first.session)
    assert first.token != second.token
    assert sessions.find_session(first.token, now=now) is None


def test_no_table_holds_a_ticket_or_a_session_in_clear(make_ticket: MakeTicket, now: datetime) -> None:
    ticket = make_ticket()
    opened = exchange(ticket.text, now=now)
    with connection.cursor() as cursor:
        for table in ("apiauth_ticket", "apiauth_session", "apiauth_activityentry"):
            cursor.execute(f"SELECT coalesce(string_agg(row_to_json(t)::text, ''), '') FROM {table} t")
            dump = cursor.fetchone()[0]
            assert ticket.text[4:40] not in dump
            assert opened.token[4:40] not in dump
