"""Keeps a set of processes running: starts them, waits until they answer, restarts, stops them all."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from config import env, ports
from config.children import Child, Signals, StopRequested
from config.env import REPOSITORY, EnvironmentProblem
from config.postgres import EmbeddedPostgres

LOOK_SECONDS = 0.02
STOP_SECONDS = 2.8
POSTGRES_STOP_SECONDS = 1.0
START_SECONDS = 60.0


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
                raise EnvironmentProblem(f"Gave up waiting for {what}: see the logs in the data folder.")

    def wait_until_reported(self, children: Sequence[Child]) -> None:
        """Wait until each of these processes noted that it answers."""
        for child in children:
            log = f" (see {child.log})" if child.log else ""
            self.wait_until(lambda child=child: child.has_reported, f"{child.name}{log}")  # type: ignore[misc]

    def keep_running(self, seconds: float) -> None:
        """Wait a while; note who ended and start again who is due. Raises StopRequested."""
        self.signals.pause(seconds)
        if self.postgres is not None and self.postgres.pid is None:
            say("PostgreSQL ended; starting it again.")
            self.postgres.start()
        for child in self.children:
            if sentence := child.ended():
                say(sentence)
            if child.restart_at is not None and child.restart_at <= time.monotonic():
                child.start()

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


def gateway_children(
    port: int, count: int, variables: dict[str, str], *, host: str, logs: Path | None, reports: Path
) -> list[Child]:
    """Return the gateway processes that share one port."""
    command = manage("gateway", "--host", host, "--port", str(port))
    return [
        Child(
            f"gateway-{number}",
            command,
            variables,
            logs / f"gateway-{number}.log" if logs else None,
            reports / f"gateway-{number}",
        )
        for number in range(1, count + 1)
    ]


def run_gateways(host: str, port: int, count: int) -> int:
    """Run several gateway processes on one port until someone asks to stop."""
    signals = Signals()
    supervisor = Supervisor(signals)
    reports = env.data_dir() / "run"
    reports.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = ports.hold(port, "--port", host)
    try:
        supervisor.start(
            gateway_children(ports.number(held), count, dict(os.environ), host=host, logs=None, reports=reports)
        )
        supervisor.run()
    finally:
        supervisor.stop()
        held.close()
    return 0
