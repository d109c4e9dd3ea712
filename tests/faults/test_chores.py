"""What is done once for the whole installation is done by one worker, and after its death by another."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from apiauth.core import clock
from apiauth.core.actor import Actor
from apiauth.core.key_filter import KeyFilter
from apiauth.core.scope import Owner
from apiauth.models import App, Key, KeyWarning
from apiauth.services import keys, mass_revoke, sessions
from tests.support.database import database_url
from tests.support.mail_server import mail_server
from tests.support.processes import environment_in
from tests.support.running import until

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def worker(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, ROOT / "manage.py", "worker"], env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def silent_mail_server() -> Iterator[tuple[str, Callable[[], socket.socket]]]:
    """Take calls and say nothing; yield the address, and what waits for the next call and holds it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        yield f"smtp://127.0.0.1:{listener.getsockname()[1]}", lambda: listener.accept()[0]


def mailing_through(url: str, folder: Path) -> dict[str, str]:
    """Return the environment of a worker that sends its mails through this server."""
    mail = {"KEYSTEAD_EMAIL_URL": url, "KEYSTEAD_EMAIL_FROM": "keys@example.com"}
    return {**environment_in(folder), "DATABASE_URL": database_url(), **mail}


def is_revoked(key: Key) -> bool:
    return Key.objects.get(pk=key.pk).revoked_at is not None


def sent() -> int:
    return KeyWarning.objects.filter(mail_sent_at__isnull=False).count()


@pytest.mark.django_db(transaction=True)
def test_two_workers_mail_once_and_the_second_goes_on_when_the_first_is_killed(
    app: App,
    make_key: Callable[..., keys.IssuedKey],
    session_for: Callable[..., sessions.OpenedSession],
    tmp_path: Path,
) -> None:
    session_for(app, subject_id="dana", subject_email="dana@example.com")
    made = {"now": clock.now() - timedelta(days=90), "owner": Owner(user_id="dana")}
    ends = clock.now() + timedelta(hours=12)
    make_key("one", expires_at=ends, **made)
    with mail_server() as server:
        environment = mailing_through(server.url, tmp_path)
        with worker(environment) as first:
            until(lambda: sent() == 1, 30, "the first mail is sent, and that is on record")
            with worker(environment):
                # The second warns as soon as it takes over: then nothing but this key is new to it.
                make_key("two", expires_at=ends, **made)
                first.kill()
                until(lambda: sent() == 2, 30, "the second mail is sent")
    assert [mail["Subject"].split("“")[1][:3] for mail in server.mails] == ["one", "two"]
    assert KeyWarning.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_mass_revoke_goes_before_all_mails_and_waits_for_one_of_them_at_most(
    app: App,
    make_key: Callable[..., keys.IssuedKey],
    session_for: Callable[..., sessions.OpenedSession],
    actor: Actor,
    tmp_path: Path,
) -> None:
    session_for(app, subject_id="dana", subject_email="dana@example.com")
    made = {"now": clock.now() - timedelta(days=90), "owner": Owner(user_id="dana")}
    for number in range(3):
        make_key(f"ends {number}", expires_at=clock.now() + timedelta(hours=12), **made)
    early, late = make_key("early").key, make_key("late").key

    def begin(key: Key) -> None:
        mass_revoke.start(KeyFilter(keys=(str(key.pk),)), reason="leaked", actor=actor, now=clock.now())

    with silent_mail_server() as (url, next_call):
        begin(early)
        with worker(mailing_through(url, tmp_path)):
            with next_call():  # the first mail is on its way, until we hang up
                assert is_revoked(early)
                begin(late)
            with next_call():
                assert is_revoked(late)
    assert sent() == 0
