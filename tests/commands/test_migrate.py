"""`migrate` leaves a database that the processes can be started over, and says what is still missing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, User

from apiauth.core import clock
from apiauth.models import PepperCheck
from apiauth.services import installation
from tests.commands.conftest import Ran

Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("a long password of an operator\n")
    monkeypatch.setenv("KEYSTEAD_ADMIN_PASSWORD_FILE", str(tmp_path / "password"))


def test_it_makes_the_groups_and_the_first_administrator_and_notes_the_peppers(run: Run) -> None:
    ran = run("migrate")
    assert (ran.code, "Made the first administrator, admin." in ran.out) == (0, True)
    assert {group.name for group in Group.objects.all()} == {"Support viewer", "Support agent", "Security"}
    assert User.objects.get().check_password("a long password of an operator")
    assert PepperCheck.objects.get().version == 1
    again = run("migrate")
    assert (again.code, "administrator" in again.out, User.objects.count()) == (0, False, 1)


def test_without_a_password_it_says_how_to_get_into_the_admin(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("\n")
    ran = run("migrate")
    assert (ran.code, User.objects.exists()) == (0, False)
    assert "KEYSTEAD_ADMIN_PASSWORD" in ran.out
    assert "createsuperuser" in ran.out


def test_a_wrong_pepper_is_refused(run: Run) -> None:
    installation.remember_peppers(now=clock.now())
    PepperCheck.objects.update(fingerprint=b"another pepper's".ljust(32))
    ran = run("migrate")
    assert ran.code == 1
    assert ran.err.startswith("Pepper 1 is not the one")
    assert not User.objects.exists()


def test_a_part_of_it_is_a_part_of_it(run: Run) -> None:
    for part in (["--plan"], ["apiauth"], ["--check"]):
        assert run("migrate", *part).code == 0
    assert not Group.objects.exists()
