"""What is done once for the whole installation is done by one worker, and after its death by another."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from apiauth.core import clock
from apiauth.core.scope import Owner
from apiauth.models import App, KeyWarning
from apiauth.services import keys, sessions
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
        environment = {
            **environment_in(tmp_path),
            "DATABASE_URL": database_url(),
            "KEYSTEAD_EMAIL_URL": server.url,
            "KEYSTEAD_EMAIL_FROM": "keys@example.com",
        }
        with worker(environment) as first:
            until(lambda: sent() == 1, 30, "the first mail is sent, and that is on record")
            with worker(environment):
                # The second warns as soon as it takes over: then nothing but this key is new to it.
                make_key("two", expires_at=ends, **made)
                first.kill()
                until(lambda: sent() == 2, 30, "the second mail is sent")
    assert [mail["Subject"].split("“")[1][:3] for mail in server.mails] == ["one", "two"]
    assert KeyWarning.objects.count() == 2
