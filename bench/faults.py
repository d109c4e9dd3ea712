"""Kills gateways and workers under load, and compares every answer that came back with what is recorded.

    python -m bench.faults [--smoke] [--save]

Callers keep each answer by its request id. After the last kill the spool is drained; an answer
without its record is lost, a record that stands twice is doubled, and the hourly counts have to
be the number of rows. An answer that the kill cut off may be recorded: nobody has heard it.
"""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.check import SERVE, body_of, prepared, seed
from bench.report import Options, Row, row, run

GATEWAYS = 2
CALLERS = 2
BATCH = 50
WORKER = "from config import worker; worker.main(['worker'])"
DEADLINE_SECONDS = 3600


class Victim:
    """A process group that is killed and started again."""

    def __init__(self, code: str, *arguments: object, **variables: object) -> None:
        self._command = [sys.executable, "-c", code, *map(str, arguments)]
        self._environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
        self.start()

    def start(self) -> None:
        """Start it, in a group of its own."""
        self._process = subprocess.Popen(
            self._command, env=self._environment, start_new_session=True, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        """Kill the whole group as kill -9 does."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Caller(threading.Thread):
    """Asks one gateway, one check and one batch in turn, and keeps each answer that came back whole."""

    def __init__(self, port: int, secrets: list[str], ending: threading.Event) -> None:
        super().__init__(daemon=True)
        self.answers: dict[str, bool] = {}
        self._port, self._ending = port, ending
        bodies = [body_of(secret) for secret in secrets[:BATCH]]
        self._single = bodies[0]
        self._batch = b'{"checks":[' + b",".join(bodies) + b"]}"

    def run(self) -> None:
        """Ask until told to stop; connect again after every reset."""
        while not self._ending.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            try:
                while not self._ending.is_set():
                    self._keep(self._asked(connection, "/v1/authz/check", self._single))
                    batch = self._asked(connection, "/v1/authz/check-batch", self._batch)
                    for decision in batch.get("decisions", ()):
                        self._keep(decision)
            except (OSError, http.client.HTTPException, ValueError):
                self._ending.wait(0.02)
            finally:
                connection.close()

    def _asked(self, connection: http.client.HTTPConnection, path: str, body: bytes) -> dict[str, Any]:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        return answer if response.status == 200 else {}  # a 503 is no decision

    def _keep(self, answer: dict[str, Any]) -> None:
        if answer:
            self.answers[answer["request_id"]] = answer["allowed"]


def storm(secrets: list[str], kills: int, decisions: int) -> dict[str, bool]:
    """Kill a gateway or the worker so often under so many decisions; return every answer by its request id."""
    ports = [free_port() for _ in range(GATEWAYS)]
    victims = [Victim(SERVE, "config.gateway_wsgi:application", port, 4) for port in ports]
    victims += [Victim(WORKER) for _ in range(3)]
    ending = threading.Event()
    callers = [Caller(port, secrets, ending) for port in ports for _ in range(CALLERS)]
    dice = random.Random(20)
    deadline = time.monotonic() + DEADLINE_SECONDS
    for caller in callers:
        caller.start()
    try:
        for turn in range(1, kills + 1):
            enough = decisions * turn // kills
            while sum(len(caller.answers) for caller in callers) < enough:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"after {turn} kills")
                time.sleep(dice.random() / 20)
            victim = victims[dice.randrange(len(victims))]
            victim.kill()
            victim.start()
    finally:
        ending.set()
        for caller in callers:
            caller.join()
        for victim in victims:
            victim.kill()
    return {request_id: allowed for caller in callers for request_id, allowed in caller.answers.items()}


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def verdict(answers: dict[str, bool], folder: Path) -> dict[str, int]:
    """Drain what is left, and count what is missing, doubled, different or not counted."""
    import psycopg

    from apiauth.audit.drain import Drain

    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        drain = Drain(connection, folder)
        while list(folder.glob("*.spool")):
            drain.drain()
        rows = connection.execute(
            "SELECT 'req_' || replace(id::text, '-', ''), allowed FROM apiauth_decision"
        ).fetchall()
        sums = ("count) FROM apiauth_decisionrollup", "count) FROM apiauth_pathrollup",
                "allowed + blocked) FROM apiauth_minuterollup")  # fmt: skip
        counted = [int(connection.execute(f"SELECT sum({each}").fetchone()[0]) for each in sums]
        torn = connection.execute("SELECT sum(quarantined) FROM apiauth_spoolfile").fetchone()
    recorded = dict(rows)
    return {
        "answers": len(answers),
        "records": len(rows),
        "lost": len(answers.keys() - recorded.keys()),
        "doubled": len(rows) - len(recorded),
        "different": sum(recorded.get(each, allowed) != allowed for each, allowed in answers.items()),
        "not counted": sum(abs(len(rows) - each) for each in counted),
        "torn": int(torn[0]) if torn and torn[0] else 0,
    }


def table(options: Options) -> Iterable[Row]:
    """Storm and judge."""
    kills, decisions = options.pick((10, 20_000), (200, 1_000_000))
    with prepared() as folder:
        found = verdict(storm(seed(folder), kills, decisions), folder / "spool")
    yield row("kill -9 of gateways and workers", kills)
    for name, figure in found.items():
        if name in ("lost", "doubled", "different", "not counted"):
            yield Row(f"decisions {name}", figure, "0", figure == 0, sane=figure == 0)
        else:
            yield row(name, figure)


if __name__ == "__main__":
    run("faults", table, __doc__, gateways=GATEWAYS, workers=3, callers=GATEWAYS * CALLERS, batch=BATCH)
