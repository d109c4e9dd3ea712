"""A whole Keystead of real processes, started by its own door and stopped by it."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config import postgres_place

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90
STOP_SECONDS = 15
OWN_VARIABLES = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE", "KEYSTEAD_TEST_RUN")


@dataclass(frozen=True)
class Running:
    """What the ready file says, and where the processes write."""

    facts: dict[str, Any]
    data_dir: Path
    process: subprocess.Popen[bytes]

    def __getattr__(self, name: str) -> Any:
        return self.facts[name]

    def logs(self) -> str:
        """Return everything that any process has logged or printed so far."""
        files = [*self.data_dir.glob("logs/*"), self.data_dir / "up.output"]
        return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in files if path.is_file())


@contextmanager
def keystead(data_dir: Path, *options: str, variables: dict[str, str] | None = None) -> Iterator[Running]:
    """Run `./keystead up` on free ports until the block ends."""
    ready = data_dir.parent / f"{data_dir.name}.ready.json"
    ready.unlink(missing_ok=True)
    data_dir.mkdir(parents=True, exist_ok=True)
    command = [str(ROOT / "keystead"), "up", "--port", "0", "--gateway-port", "0"]
    command += ["--data-dir", str(data_dir), "--ready-file", str(ready), *options]
    environment = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    environment = {name: value for name, value in environment.items() if not name.startswith("KEYSTEAD_")}
    output = (data_dir / "up.output").open("wb")
    with (
        output,
        subprocess.Popen(
            command, env={**environment, **(variables or {})}, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            until(lambda: ready.exists() or process.poll() is not None, START_SECONDS, "Keystead is ready")
            if process.poll() is not None:
                raise AssertionError((data_dir / "up.output").read_text())
            yield Running(json.loads(ready.read_text()), data_dir, process)
        finally:
            stop(process)
            remove_outside_cluster(data_dir)


def in_installation(running: Running, *command: str) -> str:
    """Run one of `./keystead`'s commands beside a running installation, and return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    environment |= {"KEYSTEAD_DATA_DIR": str(running.data_dir), "DATABASE_URL": running.database_url}
    done = subprocess.run(
        [str(ROOT / "keystead"), *command], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def remove_outside_cluster(data_dir: Path) -> None:
    """Remove the database that root keeps outside a data folder which its account cannot reach."""
    note = data_dir / "postgres.place"
    if note.exists():
        shutil.rmtree(postgres_place.OUTSIDE / note.read_text().strip(), ignore_errors=True)


def stop(process: subprocess.Popen[bytes]) -> int:
    """End `up` as an operator would, and return its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """Return the first true answer of `condition`; fail with `what` when it takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := condition():
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)
