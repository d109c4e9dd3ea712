"""The commands end with a code and a sentence, whatever is handed to them and whoever goes away meanwhile."""

import os
import subprocess
import sys

import pytest

from config.env import REPOSITORY

COMMAND = [sys.executable, str(REPOSITORY / "manage.py")]
SECONDS = 60
INTERRUPTED = """
import signal, sys
import manage
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
manage.run = lambda arguments: signal.raise_signal(signal.SIGINT)
sys.exit(manage.main(["doctor"]))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        [b"\xff"],
        [b"doctor", b"\xff"],
        [b"doctor", b"--data-dir", b"/tmp/k\xffy"],
        [b"deployment", b"create", b"--name", b"M\xfcller"],
        [b"openapi", b"\xed\xa0\x80"],
    ],
    ids=["a command", "an option", "a folder", "a name in Latin-1", "half a character"],
)
def test_arguments_that_are_not_utf8_are_refused_with_a_sentence(arguments: list[bytes]) -> None:
    ran = subprocess.run([*COMMAND, *arguments], capture_output=True, check=False, timeout=SECONDS)
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, b"", b"The arguments must be UTF-8.\n")


def test_a_reader_that_has_gone_is_no_reason_for_a_traceback() -> None:
    gone, end = os.pipe()
    os.close(gone)
    try:
        ran = subprocess.run(
            [*COMMAND, "openapi", "backend"], stdout=end, stderr=subprocess.PIPE, check=False, timeout=SECONDS
        )
    finally:
        os.close(end)
    assert (ran.returncode, ran.stderr) == (1, b"")


def test_an_interrupted_command_ends_as_a_shell_expects_it() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], cwd=REPOSITORY, capture_output=True, check=False, timeout=SECONDS
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, b"", b"")
