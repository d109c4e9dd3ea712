"""Node and npm, for tests of what JavaScript programs do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SECONDS = 120


def npm() -> str:
    """Return the path of npm; skip with a sentence where there is none, or fail where it is required."""
    path = shutil.which("npm")
    if path and shutil.which("node"):
        return path
    sentence = "There is no node with npm: install nodejs and npm to try JavaScript clients."
    if os.environ.get("KEYSTEAD_REQUIRE_CONTRACT"):
        pytest.fail(sentence)
    pytest.skip(sentence)


def run(folder: Path, *command: str, given: str = "") -> str:
    """Run a command in a folder and return what it printed; fail with what it complained of."""
    done = subprocess.run(
        command, cwd=folder, input=given, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def install(folder: Path) -> None:
    """Install what a folder's lock says; again only when the lock has changed. Skips as `npm` does."""
    npm()
    done, lock = folder / "node_modules" / ".package-lock.json", folder / "package-lock.json"
    if not done.exists() or done.stat().st_mtime < lock.stat().st_mtime:
        run(folder, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
