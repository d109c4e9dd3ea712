"""Keeps a set of processes running: starts them, waits until they answer, restarts, stops them all."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from config import ports
from config.children import Child, Signals, StopRequested
from config.env import REPOSITORY, EnvironmentProblem
from config.postgres import EmbeddedPostgres

LOOK_SECONDS = 0.02
STOP_SECONDS = 2.8
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

    def __init__(self, signals: Signals) -> None:
        """Start with nothing."""
        self.signals = signals
        self.children: list[Child] = []
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

    def stop(self) -> None:
        """Stop all children, then the database; by force whoever takes too long."""
        for child in self.children:
            child.ask_to_stop()
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline and not all(child.is_gone() for child in self.children):
            with suppress(StopRequested):  # an impatient second Ctrl-C changes nothing
                self.signals.pause(LOOK_SECONDS)
        for child in self.children:
            child.kill_group()
        if self.postgres is not None:
            self.postgres.stop(POSTGRES_STOP_SECONDS)


def _has_reported(child: Child) -> bool:
    """Tell whether a starting process answers. Raises EnvironmentProblem if it ends again and again."""
    if child.failures >= START_ATTEMPTS:
        raise EnvironmentProblem(f"{child.name} does not start: {child.last_words()}")
    return child.has_reported


def gateway_children(
    port: int,
    count: int,
    variables: dict[str, str],
    *,
    host: str,
    logs: Path | None = None,
    reports: Path | None = None,
) -> list[Child]:
    """Return the gateway processes that share one port."""
    command = manage("gateway", "--host", host, "--port", str(port))
    return [
        Child(
            f"gateway-{number}",
            command,
            variables,
            logs / f"gateway-{number}.log" if logs else None,
            reports / f"gateway-{number}" if reports else None,
        )
        for number in range(1, count + 1)
    ]


def run_gateways(host: str, port: int, count: int) -> int:
    """Run several gateway processes on one port until someone asks to stop."""
    signals = Signals()
    supervisor = Supervisor(signals)
    held = ports.hold(port, "--port", host)
    try:
        supervisor.start(gateway_children(ports.number(held), count, dict(os.environ), host=host))
        supervisor.run()
    finally:
        supervisor.stop()
        held.close()
    return 0
