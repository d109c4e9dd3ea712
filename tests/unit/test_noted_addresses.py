"""Where `up` answers is known to commands beside it, while it runs and no longer."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from config import addresses

HERE = {"KEYSTEAD_PUBLIC_URL": "http://127.0.0.1:9000", "KEYSTEAD_GATEWAY_URL": "http://127.0.0.1:9001"}
NOTE_AND_WAIT = """
import os
import sys
from pathlib import Path
from config import addresses
with addresses.noted_meanwhile(Path(sys.argv[1]), os.environ):
    print("noted", flush=True)
    sys.stdin.read()
"""


def test_what_is_noted_is_known_until_the_end_of_the_block(tmp_path: Path) -> None:
    assert addresses.noted(tmp_path) == {}
    with addresses.noted_meanwhile(tmp_path, {**HERE, "KEYSTEAD_DJANGO_KEY": "hidden"}):
        assert addresses.noted(tmp_path) == HERE
    assert addresses.noted(tmp_path) == {}


def test_the_next_note_takes_the_place_of_one_that_was_left(tmp_path: Path) -> None:
    elsewhere = dict.fromkeys(HERE, "http://127.0.0.1:7")
    for settings in (elsewhere, HERE):
        with addresses.noted_meanwhile(tmp_path, settings):
            assert addresses.noted(tmp_path) == settings


def test_what_a_killed_process_has_noted_is_not_believed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NOTE_AND_WAIT, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env={**os.environ, **HERE}, text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "noted\n"
        assert addresses.noted(tmp_path) == HERE
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert addresses.noted(tmp_path) == {}
