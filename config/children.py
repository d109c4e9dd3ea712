"""Child processes: each in a process group of its own, logged to a file, dead when we are."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from config import launcher
from config.env import REPOSITORY

FIRST_DELAY_SECONDS = 0.2
MOST_DELAY_SECONDS = 10.0
STEADY_SECONDS = 10.0
LOG_MOST_BYTES = 10_000_000
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(Exception):
    """Someone asked us to stop."""


class Signals:
    """Our signals, taken one at a time where we wait for them: no handler can interrupt a step."""

    def __init__(self) -> None:
        """Close the mask; `launcher` opens it again for children."""
        self._all = {*STOPS, signal.SIGCHLD}
        signal.pthread_sigmask(signal.SIG_BLOCK, self._all)

    def pause(self, seconds: float) -> None:
        """Wait until a child ends or the time is over. Raises StopRequested."""
        found = signal.sigtimedwait(self._all, max(seconds, 0.0))
        if found is not None and found.si_signo in STOPS:
            raise StopRequested


@dataclass
class Child:
    """One process of ours that is restarted when it ends, slower each time it ends early."""

    name: str
    command: list[str]
    variables: dict[str, str] = field(repr=False)
    log: Path | None = None
    report: Path | None = None
    failures: int = 0
    restart_at: float | None = None
    _started_at: float = 0.0
    _process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return the pid of the running process."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def has_reported(self) -> bool:
        """Tell whether the process noted that it answers."""
        return self.pid is not None and (self.report is None or self.report.exists())

    def start(self) -> None:
        """Start the process."""
        variables = dict(self.variables)
        if self.report is not None:
            self.report.unlink(missing_ok=True)
            variables["KEYSTEAD_READY_REPORT"] = str(self.report)
        self._process = spawn(self.command, variables, self.log)
        self._started_at, self.restart_at = time.monotonic(), None

    def ended(self) -> str | None:
        """Say how the process ended, once; it is due to start again at `restart_at`."""
        if self.restart_at is not None or self._process is None or (code := self._process.poll()) is None:
            return None
        self.kill_group()  # what it left behind, such as a server's worker
        if time.monotonic() - self._started_at > STEADY_SECONDS:
            self.failures = 0
        delay = min(FIRST_DELAY_SECONDS * 2**self.failures, MOST_DELAY_SECONDS)
        self.failures = min(self.failures + 1, 20)
        self.restart_at = time.monotonic() + delay
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return f"{self.name} {how}; starting it again in {delay:.1f} s."

    def last_words(self) -> str:
        """Return the last line of the log, and where the log is."""
        lines = self.log.read_text(errors="replace").split("\n") if self.log and self.log.exists() else []
        said = [line for line in lines if line.strip()]
        return f"{said[-1] if said else 'it said nothing'} (see {self.log})"

    def ask_to_stop(self) -> None:
        """Ask for a clean stop and return at once."""
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def is_gone(self) -> bool:
        """Tell whether the process has ended."""
        return self._process is None or self._process.poll() is not None

    def kill_group(self) -> None:
        """End what is left of the process and its own children by force."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def spawn(
    command: list[str], variables: dict[str, str], log: Path | None, stdout: int | None = None
) -> subprocess.Popen[bytes]:
    """Start a command that dies with us, in a process group of its own."""
    identity = [str(number) for number in (os.getpid(), int(signal.SIGKILL), -1, -1)]
    output = open_log(log) if log is not None else None
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", launcher.__file__, *identity, *command],
            stdin=subprocess.DEVNULL,
            stdout=stdout if stdout is not None else output,
            stderr=output,
            cwd=REPOSITORY,
            env=variables,
            start_new_session=True,
        )
    finally:
        if output is not None:
            os.close(output)


def open_log(path: Path) -> int:
    """Open a log that only its owner reads; a long one is put aside first."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_MOST_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
