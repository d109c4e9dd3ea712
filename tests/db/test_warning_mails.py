"""Mails about keys go to whom they concern, once each, and only as long as they are true."""

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connections, transaction

from apiauth.core.actor import Actor
from apiauth.core.policy import read_policy
from apiauth.core.scope import Owner
from apiauth.models import App, Key, KeyWarning
from apiauth.services import key_edits, key_warnings, keys, mails, sessions, subjects, tickets
from config import email
from tests.support.mail_server import MailServer, mail_server

pytestmark = pytest.mark.django_db
MakeKey = Callable[..., keys.IssuedKey]
Meet = Callable[[str, str], sessions.OpenedSession]
Remove = Callable[[str, datetime], object]
DAY = timedelta(days=1)


def tell(moment: datetime) -> int:
    return key_warnings.tell_all(now=moment, mails=True)


@pytest.fixture
def server(settings: Any) -> Iterator[MailServer]:
    with mail_server() as running:
        out = email.read(running.url, "keys@example.com", None)
        settings.ENVIRONMENT = dataclasses.replace(settings.ENVIRONMENT, email=out)
        yield running


@pytest.fixture
def meet(app: App, session_for: Callable[..., sessions.OpenedSession]) -> Meet:
    def open_ticket(subject_id: str, address: str) -> sessions.OpenedSession:
        return session_for(app, subject_id=subject_id, subject_email=address)

    return open_ticket


@pytest.fixture
def remove(app: App, actor: Actor) -> Remove:
    def gone(subject_id: str, at: datetime) -> object:
        where = {"deployment_id": app.deployment_id, "slug": app.slug}
        return subjects.remove_subject(**where, subject_id=subject_id, actor=actor, now=at)

    return gone


@pytest.fixture
def danas_key(meet: Meet, make_key: MakeKey, now: datetime) -> keys.IssuedKey:
    owner = meet("dana", "dana@example.com").session.owner
    return make_key(now=now, expires_at=now + 90 * DAY, owner=owner)


@pytest.fixture
def key_made_by_dana(meet: Meet, make_key: MakeKey, actor: Actor, now: datetime) -> Key:
    """Return a key of Bob's, of whom no address is known."""
    meet("dana", "dana@example.com")
    maker = dataclasses.replace(actor, id="dana")
    return make_key(now=now, expires_at=now + 90 * DAY, owner=Owner(user_id="bob"), actor=maker).key


def test_the_mail_says_which_key_when_and_what_to_do_and_holds_no_secret(
    server: MailServer, danas_key: keys.IssuedKey, app: App, now: datetime
) -> None:
    later = now + 85 * DAY
    tell(later)
    assert mails.send_due(now=later) == 1
    assert (mails.send_due(now=later + DAY), mails.has_due(now=later + DAY)) == (0, False)
    [mail] = server.mails
    text = mail.get_content()
    assert mail["To"] == "dana@example.com"
    assert mail["From"] == "keys@example.com"
    assert "Billing worker" in mail["Subject"]
    assert f"nw_live_…{danas_key.key.key_suffix}" in text
    assert f"{danas_key.key.expires_at:%Y-%m-%d %H:%M} UTC" in text
    assert app.return_url in text
    assert danas_key.secret.text not in str(mail)


def test_nobody_is_written_to_where_no_address_is_known_or_its_owner_is_gone(
    server: MailServer, danas_key: keys.IssuedKey, make_key: MakeKey, remove: Remove, now: datetime
) -> None:
    make_key(now=now, expires_at=now + 90 * DAY)
    remove("dana", now + DAY)
    assert tell(now + 85 * DAY) == 2
    assert not mails.has_due(now=now + 86 * DAY)


def test_a_mail_that_waits_for_somebody_is_given_up_as_they_are_removed(
    server: MailServer, danas_key: keys.IssuedKey, remove: Remove, now: datetime
) -> None:
    later = now + 85 * DAY
    server.refuses_with = 450
    tell(later)
    mails.send_due(now=later)
    server.refuses_with = 0
    assert mails.unsent(now=later).count == 1
    remove("dana", later)
    assert mails.unsent(now=later).count == 0
    assert (mails.send_due(now=later + DAY), server.mails) == (0, [])


def test_the_maker_is_written_to_where_the_owners_address_is_unknown_and_until_they_are_removed(
    server: MailServer, key_made_by_dana: Key, remove: Remove, now: datetime
) -> None:
    tell(now + 60 * DAY)
    assert mails.send_due(now=now + 60 * DAY) == 1
    assert server.mails[0]["To"] == "dana@example.com"
    tell(now + 85 * DAY)
    remove("dana", now + 85 * DAY)
    assert mails.unsent(now=now + 85 * DAY).count == 0
    assert mails.send_due(now=now + 86 * DAY) == 0


def test_a_mail_waits_on_as_somebody_else_than_its_recipient_is_removed(
    server: MailServer, key_made_by_dana: Key, meet: Meet, remove: Remove, now: datetime
) -> None:
    tell(now + 85 * DAY)
    meet("bob", "bob@example.com")  # the owner, whose address comes first from now on
    remove("dana", now + 85 * DAY)
    assert mails.send_due(now=now + 85 * DAY) == 1
    assert [mail["To"] for mail in server.mails] == ["bob@example.com"]


def test_a_ticket_that_was_never_opened_names_no_address(
    server: MailServer,
    danas_key: keys.IssuedKey,
    make_ticket: Callable[..., tickets.IssuedTicket],
    now: datetime,
) -> None:
    make_ticket(subject_id="dana", subject_email="dana@elsewhere.example")
    tell(now + 85 * DAY)
    mails.send_due(now=now + 85 * DAY)
    assert [mail["To"] for mail in server.mails] == ["dana@example.com"]


@pytest.mark.django_db(transaction=True)
def test_a_removal_does_not_wait_for_a_mail_under_way_which_is_not_tried_again(
    server: MailServer, danas_key: keys.IssuedKey, remove: Remove, now: datetime
) -> None:
    later = now + 85 * DAY
    tell(later)
    with ThreadPoolExecutor(1) as elsewhere, transaction.atomic():
        KeyWarning.objects.to_mail(
            later
        ).select_for_update().get()  # as its sender holds it while it talks to the server
        elsewhere.submit(in_a_connection_of_its_own, lambda: remove("dana", later)).result(timeout=20)
    assert mails.unsent(now=later).count == 1
    assert (mails.send_due(now=later), server.mails) == (0, [])
    assert mails.unsent(now=later).count == 0


def in_a_connection_of_its_own(act: Callable[[], object]) -> None:
    try:
        act()
    finally:
        connections.close_all()


@pytest.mark.parametrize("what", ["revoked", "rotated", "given another end"])
def test_a_mail_that_is_no_longer_true_when_its_turn_comes_is_not_sent(
    server: MailServer, danas_key: keys.IssuedKey, app: App, actor: Actor, now: datetime, *, what: str
) -> None:
    later = now + 85 * DAY
    tell(later)
    where = {"app_id": app.pk, "key_id": danas_key.key.pk, "actor": actor, "now": later}
    {
        "revoked": lambda: keys.revoke_key(**where),
        "rotated": lambda: keys.rotate_key(overlap=4 * DAY, **where),
        "given another end": lambda: key_edits.edit_key(changes={"expires_at": now + 300 * DAY}, **where),
    }[what]()
    assert (mails.send_due(now=later), server.mails) == (0, [])
    assert mails.unsent(now=later).count == 0


def test_a_mail_that_asks_for_rotation_is_not_sent_once_no_rotation_is_due(
    server: MailServer, danas_key: keys.IssuedKey, app: App, now: datetime
) -> None:
    policies = {days: read_policy({"rotation": {"mode": "required", "every_days": days}}) for days in (40, 50)}
    App.objects.filter(pk=app.pk).update(policy=policies[40])
    assert tell(now + 39 * DAY) == 1
    App.objects.filter(pk=app.pk).update(policy=policies[50])
    assert (mails.send_due(now=now + 39 * DAY), server.mails) == (0, [])


@pytest.mark.parametrize(("before_its_end", "sent"), [(timedelta(seconds=1), 1), (timedelta(0), 0)])
def test_a_mail_that_asks_for_rotation_is_sent_only_until_the_key_ends(
    server: MailServer, danas_key: keys.IssuedKey, app: App, now: datetime, *, before_its_end: timedelta, sent: int
) -> None:
    rotation = {"mode": "required", "every_days": 40}
    App.objects.filter(pk=app.pk).update(policy=read_policy({"rotation": rotation}))
    assert tell(now + 40 * DAY) == 1
    assert mails.send_due(now=now + 90 * DAY - before_its_end) == sent


def test_a_mail_waits_while_the_server_is_away_and_is_sent_once_it_is_back(
    server: MailServer, danas_key: keys.IssuedKey, now: datetime
) -> None:
    later = now + 85 * DAY
    tell(later)
    for attempt, trouble in enumerate(("temporarily refused", "broken off")):
        server.refuses_with, server.breaks_off = (450, False) if trouble.startswith("temp") else (0, True)
        moment = later + attempt * timedelta(minutes=5)
        assert mails.send_due(now=moment) == 0
        assert not mails.has_due(now=moment + timedelta(seconds=59))
    assert mails.unsent(now=later + timedelta(minutes=30)) == mails.Unsent(1, 1800.0)
    server.refuses_with, server.breaks_off = 0, False
    assert mails.send_due(now=later + timedelta(hours=1)) == 1
    assert mails.unsent(now=later + timedelta(hours=2)) == mails.Unsent(0, 0.0)
    assert KeyWarning.objects.get().mail_attempts == 3
    assert [mail["Message-ID"] for mail in server.mails] == [f"<warning-{KeyWarning.objects.get().pk}@127.0.0.1>"]


def test_a_mail_that_waited_past_the_end_it_tells_of_makes_room_for_the_one_that_says_so(
    server: MailServer, danas_key: keys.IssuedKey, now: datetime
) -> None:
    tell(now + 85 * DAY)
    tell(now + 90 * DAY)
    assert mails.send_due(now=now + 90 * DAY) == 1
    (subject,) = [mail["Subject"] for mail in server.mails]
    assert subject.endswith("has ended")
    assert mails.unsent(now=now + 90 * DAY).count == 0


def test_an_address_that_is_refused_for_good_is_given_up(
    server: MailServer, danas_key: keys.IssuedKey, now: datetime
) -> None:
    server.refuses_with = 550
    tell(now + 85 * DAY)
    assert mails.send_due(now=now + 85 * DAY) == 0
    assert not mails.has_due(now=now + 89 * DAY)
    assert mails.unsent(now=now + 89 * DAY).count == 0


@pytest.mark.parametrize(
    ("url", "wrong"),
    [("http://x", "smtp://"), ("smtp://u:secret@x", "without a password"), ("smtps://mail.example.com", "FROM")],
)
def test_a_mail_server_that_cannot_be_meant_is_refused_without_its_password(url: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong) as refusal:
        email.read(url, "" if wrong == "FROM" else "keys@example.com", "hush")
    assert "secret" not in str(refusal.value)
    assert "hush" not in repr(email.read("smtps://mail.example.com", "keys@example.com", "hush"))


@pytest.fixture
def tell_each(meet: Meet, make_key: MakeKey, now: datetime) -> Callable[..., datetime]:
    """Give each address a key of its own and tell of it; return when that was."""

    def tell_of_keys(*addresses: str) -> datetime:
        for number, address in enumerate(addresses):
            owner = meet(f"subject-{number}", address).session.owner
            make_key(now=now, expires_at=now + 90 * DAY, owner=owner)
        assert tell(now + 85 * DAY) == len(addresses)
        return now + 85 * DAY

    return tell_of_keys


@pytest.mark.parametrize(
    "odd", ["bob@example.com, eve@example.com", f"bob@{'ü' * 60}.com"], ids=["two in one", "too long a host"]
)
def test_an_address_that_is_none_is_given_up_for_good_and_the_other_mails_go_out(
    server: MailServer, tell_each: Callable[..., datetime], odd: str
) -> None:
    later = tell_each("ann@example.com", odd, "cy@example.com")
    assert mails.send_due(now=later) == 2
    assert {mail["To"] for mail in server.mails} == {"ann@example.com", "cy@example.com"}
    assert not mails.has_due(now=later + 4 * DAY)
    assert mails.unsent(now=later).count == 0


def test_a_server_that_fails_is_tried_once_in_a_round_and_the_other_mails_stay_due(
    server: MailServer, tell_each: Callable[..., datetime]
) -> None:
    server.breaks_off = True
    later = tell_each("ann@example.com", "bob@example.com", "cy@example.com")
    assert mails.send_due(now=later) == 0
    assert sorted(KeyWarning.objects.values_list("mail_attempts", flat=True)) == [0, 0, 1]
    assert KeyWarning.objects.to_mail(later).count() == 2
    server.breaks_off = False
    assert mails.send_due(now=later + timedelta(minutes=1)) == 3


def test_a_mail_whose_text_is_refused_for_good_is_given_up_and_the_other_mails_go_out(
    server: MailServer, tell_each: Callable[..., datetime]
) -> None:
    server.refuses_text_to = "bob@example.com"
    later = tell_each("ann@example.com", "bob@example.com", "cy@example.com")
    assert mails.send_due(now=later) == 2
    assert {mail["To"] for mail in server.mails} == {"ann@example.com", "cy@example.com"}
    assert not mails.has_due(now=later + 4 * DAY)


def test_a_mail_whose_text_is_refused_for_now_waits_and_the_other_mails_go_out(
    server: MailServer, tell_each: Callable[..., datetime]
) -> None:
    server.refuses_text_to, server.refuses_text_with = "bob@example.com", 452
    later = tell_each("ann@example.com", "bob@example.com", "cy@example.com")
    assert mails.send_due(now=later) == 2
    server.refuses_text_to = ""
    assert mails.send_due(now=later + timedelta(minutes=1)) == 1
    assert server.mails[-1]["To"] == "bob@example.com"
