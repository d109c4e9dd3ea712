"""The fenced code of a documentation page, taken out block by block and run as a reader would."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[a-z]+)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Snippet:
    """One fenced block: its language, its text without the page's indentation, and where it stands."""

    language: str
    text: str
    line: int


def snippets(page: Path) -> list[Snippet]:
    """Return the fenced blocks of a page, in order."""
    source = page.read_text()
    return [
        Snippet(
            found["language"],
            re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            source.count("\n", 0, found.start()) + 1,
        )
        for found in _FENCE.finditer(source)
    ]


class Page:
    """A page whose test takes every block once; `finish` fails with the blocks that nobody took."""

    def __init__(self, name: str) -> None:
        self.path = ROOT / name
        self._waiting = snippets(self.path)
        assert self._waiting, f"{name} has no code to run"

    def take(self, language: str, containing: str = "") -> str:
        """Return the first block that is left in this language and holds this text."""
        for snippet in self._waiting:
            if snippet.language == language and containing in snippet.text:
                self._waiting.remove(snippet)
                return snippet.text
        raise AssertionError(f"{self.path.name} has no {language} block with {containing!r} left")

    def finish(self) -> None:
        """Fail where a block of the page was not run."""
        left = [f"{self.path.name}:{snippet.line} ({snippet.language})" for snippet in self._waiting]
        assert left == [], "blocks that no test runs"


def run_shell(text: str, variables: dict[str, str], folder: Path | None = None) -> str:
    """Run a block as a shell script that stops at the first failure; return what it printed."""
    return _run(["bash", "-euo", "pipefail", "-c", text], variables, folder)


def run_node(text: str, variables: dict[str, str], folder: Path | None = None) -> str:
    """Run a block as an ES module; return what it printed."""
    return _run(["node", "--input-type=module", "-e", text], variables, folder)


def run_python(text: str, variables: dict[str, str], folder: Path | None = None) -> str:
    """Run a block as a Python program of its own; return what it printed."""
    return _run([sys.executable, "-c", text], variables, folder)


def _run(command: list[str], variables: dict[str, str], folder: Path | None) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8", **variables}
    done = subprocess.run(
        command, env=environment, cwd=folder or ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
