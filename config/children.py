"""Child processes: each in a process group of its own, logged to a file, dead when we are."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from config import graceful_stop, launcher
from config.env import REPOSITORY

FIRST_DELAY_SECONDS = 0.2
MOST_DELAY_SECONDS = 10.0
STEADY_SECONDS = 10.0
LOG_MOST_BYTES = 10_000_000
STOPS = (signal.SIGINT, signal.SIGTERM)


class StopRequested(Exception):
    """Someone asked us to stop."""


class Signals:
    """Our signals, taken one at a time where we wait for them: no handler can interrupt a step."""

    def __init__(self) -> None:
        """Close the mask; `launcher` opens it again for children."""
        self._all = {*STOPS, signal.SIGHUP, signal.SIGCHLD}
        self._had_terminal = has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN  # as under nohup
        self._reload = False
        self.is_urgent = False
        signal.pthread_sigmask(signal.SIG_BLOCK, self._all)

    def pause(self, seconds: float) -> None:
        """Wait until a child ends, someone asks for something, or the time is over. Raises StopRequested."""
        found = signal.sigtimedwait(self._all, max(seconds, 0.0))
        number = found.si_signo if found is not None else None
        if number == signal.SIGHUP:
            if self._had_terminal and not has_terminal():
                raise StopRequested
            self._reload = True
        elif number in STOPS:
            self.is_urgent |= number == signal.SIGINT  # somebody sits there and waits
            raise StopRequested

    def take_reload(self) -> bool:
        """Tell whether someone asked for a reload, once."""
        asked, self._reload = self._reload, False
        return asked


def has_terminal() -> bool:
    """Tell whether there is a terminal to which this process belongs. One that was closed is none."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


@dataclass
class Child:
    """One process of ours that is restarted when it ends, slower each time it ends early."""

    name: str
    command: list[str]
    variables: dict[str, str] = field(repr=False)
    log: Path | None = None
    report: Path | None = None
    listener: int | None = None
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
        self._process = spawn(self.command, variables, self.log, listener=self.listener)
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
        return f"{said[-1] if said else 'it said nothing'} (see {self.log or 'above'})"

    def successor(self) -> "Child":
        """Return a child that does the same, not started."""
        return Child(self.name, self.command, self.variables, self.log, self.report, self.listener)

    def ask_to_stop(self, *, hands_over: bool = False, at_once: bool = False) -> None:
        """Ask for a clean stop and return at once; a server lets its callers go first, but `at_once`."""
        if self._process is None or self._process.poll() is not None:
            return
        if self.listener is not None and (hands_over or at_once):
            os.killpg(self._process.pid, graceful_stop.HAND_OVER if hands_over else graceful_stop.AT_ONCE)
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
    command: list[str],
    variables: dict[str, str],
    log: Path | None,
    stdout: int | None = None,
    *,
    listener: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command that dies with us, in a process group of its own; a server inherits its listening socket."""
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
            pass_fds=() if listener is None else (listener,),
            start_new_session=True,
        )
    finally:
        if output is not None:
            os.close(output)


def open_log(path: Path) -> int:
    """Open a log that only its owner reads; a long one is put aside first."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    keep_short(path)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def keep_short(log: Path) -> None:
    """Put a long log aside and empty it for those who write it; a full disk keeps nothing of it."""
    if log.exists() and log.stat().st_size > LOG_MOST_BYTES:
        with suppress(OSError):
            shutil.copy(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)
