"""Who guesses passwords of staff has to wait; whoever knows one does not."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client

from apiauth.admin.login import ATTEMPTS
from apiauth.services import host_limits
from apiauth.verify.limiter import Limiter

NAME, RIGHT, WRONG = "administrator", "the right one", "a guess"
TRIES = ATTEMPTS.max_requests
BEGAN = datetime(2026, 11, 23, 14, 1, tzinfo=UTC)  # four minutes before a window ends
LogIn = Callable[[str, str], Any]


@pytest.fixture
def log_in(db: None, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LogIn]:
    """Return what tries a password from an address, in a moment that stands still."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a test need not be slow to guess
    User.objects.create_superuser(NAME, password=RIGHT)
    limiter = Limiter(tmp_path / "logins", slots=1024)
    monkeypatch.setattr(host_limits, "limiter", lambda: limiter)
    with time_machine.travel(BEGAN, tick=False):
        yield lambda password, address: Client(REMOTE_ADDR=address).post(
            "/admin/login/?next=/admin/", {"username": NAME, "password": password}
        )
    limiter.close()


def gets_in(answer: Any) -> bool:
    return answer.status_code == 302 and answer["Location"] == "/admin/"


def guess(log_in: LogIn, *addresses: str) -> None:
    for number in range(TRIES):
        answer = log_in(WRONG, addresses[number % len(addresses)])
        assert "Please enter the correct username and password" in answer.content.decode()


def test_after_ten_wrong_passwords_the_right_one_has_to_wait_for_the_window_to_end(log_in: LogIn) -> None:
    guess(log_in, "203.0.113.9")
    refused = log_in(RIGHT, "203.0.113.9")
    assert (TRIES, refused.status_code) == (10, 200)
    assert "Too many wrong passwords came from your address. Try again in 4 minutes." in refused.content.decode()
    with time_machine.travel(BEGAN + timedelta(minutes=4), tick=False):
        assert gets_in(log_in(RIGHT, "203.0.113.9"))


def test_who_guesses_keeps_nobody_out_who_asks_from_elsewhere(log_in: LogIn) -> None:
    guess(log_in, "203.0.113.9")
    assert gets_in(log_in(RIGHT, "203.0.113.10"))


def test_right_passwords_are_not_counted(log_in: LogIn) -> None:
    assert all(gets_in(log_in(RIGHT, "203.0.113.9")) for _ in range(TRIES + 1))
    guess(log_in, "203.0.113.9")
    assert not gets_in(log_in(RIGHT, "203.0.113.9"))


def test_one_network_of_ipv6_has_as_many_tries_as_one_address(log_in: LogIn) -> None:
    guess(log_in, "2001:db8::1", "2001:db8::ffff:2")
    assert not gets_in(log_in(RIGHT, "2001:db8::3"))
    assert gets_in(log_in(RIGHT, "2001:db8:0:1::3"))
