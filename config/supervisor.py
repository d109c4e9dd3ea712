"""Keeps a set of processes running: starts them, waits until they answer, restarts, stops them all."""

import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from config import ports
from config.children import Child, Signals, StopRequested, keep_short
from config.env import REPOSITORY, EnvironmentProblem
from config.postgres import EmbeddedPostgres

LOOK_SECONDS = 0.02
AT_ONCE_SECONDS = 2.8
FORCE_SECONDS = 3.0  # beyond the time to let callers go, before force
POSTGRES_STOP_SECONDS = 1.0
START_SECONDS = 60.0
START_ATTEMPTS = 3
POSTGRES_RETRY_SECONDS = 1.0


def manage(*arguments: str) -> list[str]:
    """Return the command line of one of Keystead's own processes."""
    return [sys.executable, str(REPOSITORY / "manage.py"), *arguments]


def say(sentence: str) -> None:
    """Tell the operator."""
    print(sentence, file=sys.stderr, flush=True)


class Supervisor:
    """The children of one installation, and its embedded database server where there is one."""

    def __init__(self, signals: Signals, stop_seconds: int) -> None:
        """Start with nothing. Servers have `stop_seconds` to let their callers go."""
        self.signals = signals
        self.stop_seconds = stop_seconds
        self.children: list[Child] = []
        self._changing: list[Child] = []  # beside them while one takes over from another
        self.postgres: EmbeddedPostgres | None = None
        self.on_restart: Callable[[], None] = lambda: None

    def start(self, children: Sequence[Child]) -> None:
        """Start these children and keep them from now on."""
        for child in children:
            self.children.append(child)
            child.start()

    def wait_until(self, is_true: Callable[[], bool], what: str) -> None:
        """Wait until something is true while keeping all children running. Raises EnvironmentProblem."""
        deadline = time.monotonic() + START_SECONDS
        while not is_true():
            self.keep_running(LOOK_SECONDS)
            if time.monotonic() > deadline:
                raise EnvironmentProblem(f"Gave up waiting for {what} after {START_SECONDS:.0f} s.")

    def wait_until_reported(self, children: Sequence[Child]) -> None:
        """Wait until each of these processes noted that it answers."""
        for child in children:
            self.wait_until(partial(_has_reported, child), f"{child.name} (see {child.log})")

    def keep_running(self, seconds: float) -> None:
        """Wait a while; note who ended and start again who is due. Raises StopRequested."""
        self.signals.pause(seconds)
        restarted = self._keep_postgres()
        for child in self.children:
            if sentence := child.ended():
                say(sentence)
            if child.restart_at is not None and child.restart_at <= time.monotonic():
                child.start()
                restarted = True
        if restarted:
            self.on_restart()

    def _keep_postgres(self) -> bool:
        """Start the database server again if it ended, and tell whether that was so."""
        if self.postgres is None or self.postgres.pid is not None:
            return False
        say("PostgreSQL ended; starting it again.")
        try:
            self.postgres.start()
        except EnvironmentProblem as problem:
            say(str(problem))
            self.signals.pause(POSTGRES_RETRY_SECONDS)
            return False
        return True

    def run(self) -> None:
        """Keep everything running until someone asks to stop."""
        with suppress(StopRequested):
            while True:
                due = [child.restart_at for child in self.children if child.restart_at is not None]
                self.keep_running(max(0.0, min([1.0, *(moment - time.monotonic() for moment in due)])))
                self._keep_logs_short()
                if self.signals.take_reload():
                    self.reload()

    def _keep_logs_short(self) -> None:
        for child in self.children:
            if child.log is not None:
                keep_short(child.log)

    def reload(self) -> None:
        """Replace our processes one at a time, as long as each successor gets ready. Raises StopRequested."""
        say("Reloading.")
        try:
            for child in list(self.children):
                if child.report is not None:
                    self._replace(child)
        except EnvironmentProblem as problem:
            say(f"{problem} The reload ends here; what ran before goes on.")
            return
        say("Reloaded.")

    def _replace(self, old: Child) -> None:
        """Let a successor take over once it answers. Raises EnvironmentProblem where it does not."""
        new = old.successor()
        self._changing = [new]
        new.start()
        try:
            self.wait_until(partial(_has_taken_over, new), f"{new.name} (see {new.log or 'above'})")
        except EnvironmentProblem:
            new.kill_group()
            raise
        self.children[self.children.index(old)], self._changing = new, [old]
        old.ask_to_stop(hands_over=True)
        deadline = time.monotonic() + self.stop_seconds + FORCE_SECONDS
        while not old.is_gone() and time.monotonic() < deadline:
            self.keep_running(LOOK_SECONDS)
        old.kill_group()
        self.on_restart()

    def stop(self) -> None:
        """Stop all children, then the database; by force whoever takes too long."""
        everyone = [*self.children, *self._changing]
        is_urgent, deadline = None, float("inf")
        while time.monotonic() < deadline and not all(child.is_gone() for child in everyone):
            if is_urgent != self.signals.is_urgent:  # at first, and at an impatient Ctrl-C
                is_urgent = self.signals.is_urgent
                deadline = time.monotonic() + (AT_ONCE_SECONDS if is_urgent else self.stop_seconds + FORCE_SECONDS)
                for child in everyone:
                    child.ask_to_stop(at_once=is_urgent)
            with suppress(StopRequested):
                self.signals.pause(LOOK_SECONDS)
        for child in everyone:
            child.kill_group()
        if self.postgres is not None:
            self.postgres.stop(POSTGRES_STOP_SECONDS)


def _has_reported(child: Child) -> bool:
    """Tell whether a starting process answers. Raises EnvironmentProblem if it ends again and again."""
    if child.failures >= START_ATTEMPTS:
        raise EnvironmentProblem(f"{child.name} does not start: {child.last_words()}")
    return child.has_reported


def _has_taken_over(successor: Child) -> bool:
    """Tell whether a process that nobody restarts answers. Raises EnvironmentProblem where it ended instead."""
    if successor.is_gone():
        raise EnvironmentProblem(f"The new {successor.name} does not start: {successor.last_words()}.")
    return successor.has_reported


def server_children(
    command: str,
    names: Sequence[str],
    listener: socket.socket,
    variables: dict[str, str],
    reports: Path,
    logs: Path | None = None,
) -> list[Child]:
    """Return server processes that share one listening socket."""
    line = manage(command, "--listener", str(listener.fileno()))
    return [
        Child(
            name,
            [*line, "--number", str(number)],
            variables,
            logs / f"{name}.log" if logs else None,
            reports / name,
            listener.fileno(),
        )
        for number, name in enumerate(names, 1)
    ]


def gateway_names(count: int) -> list[str]:
    """Return what the gateway processes are called."""
    return [f"gateway-{number}" for number in range(1, count + 1)]


def run_servers(command: str, names: Sequence[str], host: str, port: int, stop_seconds: int) -> int:
    """Run server processes on one port until someone asks to stop."""
    supervisor = Supervisor(Signals(), stop_seconds)
    with ports.hold(port, "--port", host) as held, TemporaryDirectory(prefix="keystead-") as reports:
        try:
            supervisor.start(server_children(command, names, held, dict(os.environ), Path(reports)))
            supervisor.run()
        finally:
            supervisor.stop()
    return 0
