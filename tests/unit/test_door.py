"""The door: a POSIX script that finds a Python, keeps `.venv` right, and hands over to manage.py.

The packages come from a lock file that lists nothing, so that no index is needed here.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from config.env import REPOSITORY

pytestmark = pytest.mark.timeout(120)
TOOLS = (
    *("sh", "dirname", "readlink", "cat", "rm", "mv", "ls", "grep", "sha256sum", "cksum"),
    *("mkdir", "sleep", "find", "ps", "flock", "ln", "printf"),
)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A Keystead whose manage.py only tells how it was called."""
    house = tmp_path / "a house"
    house.mkdir()
    shutil.copy(REPOSITORY / "keystead", house / "keystead")
    (house / "manage.py").write_text("import sys\nprint(sys.prefix, *sys.argv[1:])\n")
    for name in ("requirements.lock", "requirements-dev.lock"):
        (house / name).touch()
    return house


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for PATH with the standard tools and this Python, but no uv."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in TOOLS:
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    (folder / "python3").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
    return folder


@pytest.fixture
def door(house: Path, programs: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str, script: Path | None = None, cwd: str = "/") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(script or house / "keystead"), *arguments],
            capture_output=True,
            text=True,
            cwd=cwd,
            env={"PATH": str(programs), "HOME": str(house)},
        )

    return run


Door = Callable[..., subprocess.CompletedProcess[str]]


def test_it_makes_its_environment_and_hands_the_words_over(door: Door, house: Path) -> None:
    first = door("ticket", "two words")
    assert (first.returncode, first.stdout) == (0, f"{house / '.venv'} ticket two words\n")
    again = door("doctor")
    assert (again.stdout, again.stderr) == (f"{house / '.venv'} doctor\n", "")


def test_it_works_through_links(door: Door, house: Path, tmp_path: Path) -> None:
    (tmp_path / "first").symlink_to("second")
    (tmp_path / "second").symlink_to("a house/keystead")
    assert door("up", script=tmp_path / "first").stdout == f"{house / '.venv'} up\n"


def test_a_changed_lock_installs_again_and_an_unchanged_one_does_not(door: Door, house: Path) -> None:
    door("up")
    stamp = house / ".venv" / ".installed-requirements.lock"
    before = stamp.stat().st_mtime_ns
    assert door("up").stderr == ""
    assert stamp.stat().st_mtime_ns == before
    (house / "requirements.lock").write_text("# changed\n")
    assert "requirements.lock" in door("up").stderr
    assert stamp.stat().st_mtime_ns != before


def test_a_half_made_environment_is_repaired(door: Door, house: Path) -> None:
    (house / ".venv" / "bin").mkdir(parents=True)
    (house / ".venv" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    (house / ".venv" / "bin" / "python").chmod(0o755)
    assert door("up").stdout == f"{house / '.venv'} up\n"


def test_two_at_once_both_work(house: Path, programs: Path) -> None:
    both = [
        subprocess.Popen(
            [str(house / "keystead"), "up"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": str(programs), "HOME": str(house)},
        )
        for _ in range(2)
    ]
    answers = [one.communicate() for one in both]
    assert [one.returncode for one in both] == [0, 0], answers
    assert sum("requirements.lock" in said for _, said in answers) == 1


@pytest.mark.parametrize("has_flock", [True, False])
def test_a_killed_installation_does_not_block_the_next(
    door: Door, house: Path, programs: Path, has_flock: bool
) -> None:
    if not has_flock:
        (programs / "flock").unlink(missing_ok=True)
    with subprocess.Popen(
        [str(house / "keystead"), "up"],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
        env={"PATH": str(programs), "HOME": str(house)},
    ) as first:
        deadline = time.monotonic() + 20
        while not (house / ".venv").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(first.pid, signal.SIGKILL)
    assert door("up").stdout == f"{house / '.venv'} up\n"
    assert not (house / ".venv.lock").exists()


def test_shims_that_refuse_to_run_are_passed_over(door: Door, programs: Path) -> None:
    for name in ("python3.14", "python3.13", "python3.12", "python3.11"):
        (programs / name).write_text("#!/bin/sh\necho 'not installed' >&2\nexit 127\n")
        (programs / name).chmod(0o755)
    assert door("up").returncode == 0


def test_without_a_python_it_says_so_in_one_sentence(door: Door, programs: Path) -> None:
    (programs / "python3").unlink()
    refused = door("up")
    assert refused.returncode == 1
    (sentence,) = refused.stderr.splitlines()
    assert "Python 3.11" in sentence


def test_a_python_without_venv_is_told_the_package_to_install(door: Door, programs: Path) -> None:
    real = (programs / "python3").readlink()
    (programs / "python3").unlink()
    (programs / "python3").write_text(
        f'#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; *sys.version_info*) echo "$0";; *) exec {real} "$@";; esac\n'
    )
    (programs / "python3").chmod(0o755)
    refused = door("up")
    assert refused.returncode == 1
    assert "apt install python3-venv" in refused.stderr


def test_a_failed_installation_shows_why_and_leaves_no_stamp(door: Door, house: Path) -> None:
    (house / "requirements.lock").write_text("keystead-has-no-hash==1.0\n")
    refused = door("up")
    assert refused.returncode == 1
    assert "hash" in refused.stderr.lower()
    assert not list((house / ".venv").glob(".installed-*"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_folder_that_is_not_writable_is_named(door: Door, house: Path) -> None:
    house.chmod(0o555)
    refused = door("up")
    house.chmod(0o755)
    assert refused.returncode == 1
    assert str(house) in refused.stderr
