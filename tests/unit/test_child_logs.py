"""The log of a process that runs for months stays short."""

import subprocess
import sys
from pathlib import Path

import pytest

from config import children

WRITER = """
import sys
for line in sys.stdin:
    print(line, end="", flush=True)
"""


def test_a_long_log_is_put_aside_and_its_writer_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "LOG_MOST_BYTES", 20)
    log = tmp_path / "logs" / "web.log"
    with open(children.open_log(log), "wb") as output:
        command = [sys.executable, "-c", WRITER]
        writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, text=True)
    assert writer.stdin is not None

    def written(line: str) -> None:
        assert writer.stdin is not None
        writer.stdin.write(f"{line}\n")
        writer.stdin.flush()
        while line not in log.read_text():
            assert writer.poll() is None

    written("one")
    children.keep_short(log)
    assert log.read_text() == "one\n", "it is not long yet"
    written("two, and that is a long line")
    children.keep_short(log)
    assert log.read_text() == ""
    written("three")
    writer.stdin.close()
    writer.wait(10)
    assert log.read_text() == "three\n"
    aside = log.with_name("web.log.1")
    assert aside.read_text() == "one\ntwo, and that is a long line\n"
    assert [path.stat().st_mode & 0o777 for path in (log, aside)] == [0o600, 0o600]
