"""Compares what callers heard with what is recorded: each answer by its id, and each count with a recount."""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from apiauth.audit.drain import Drain
from tests.support.gateways import question
from tests.support.running import until

Answer = tuple[str, bool]
DECISIONS = (200, 401)
"""The statuses of an answer that is a decision; any other is none, and has no record."""
OF_APPS = "count(*) FROM apiauth_decision WHERE app_id <> 0"
OF_KEYS = f"{OF_APPS} AND key_id IS NOT NULL"
RECOUNTED = {  # each count, and the rows that it counts: what no app's key asked is nobody's path, minute and day
    "sum(count) FROM apiauth_decisionrollup": "count(*) FROM apiauth_decision",
    "sum(count) FROM apiauth_approllup": OF_APPS,
    "sum(count) FROM apiauth_pathrollup": OF_APPS,
    "sum(allowed + blocked) FROM apiauth_minuterollup": OF_APPS,
    "sum(allowed + blocked) FROM apiauth_appminuterollup": OF_APPS,
    "sum(allowed + blocked) FROM apiauth_keydayrollup": OF_KEYS,
    "sum(count) FROM apiauth_keypathrollup": OF_KEYS,
}


class Caller(threading.Thread):
    """Asks one gateway again and again, over one connection as long as it holds, and keeps every answer."""

    def __init__(self, port: int, secret: str, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.answers: list[Answer] = []
        self.statuses: Counter[int] = Counter()
        self._port, self._ending = port, stop
        self._body = json.dumps(question(secret)).encode()

    def run(self) -> None:
        """Ask until told to stop; connect again after every reset."""
        while not self._ending.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            try:
                while not self._ending.is_set():
                    self._ask(connection)
            except (OSError, http.client.HTTPException, ValueError):
                self._ending.wait(0.02)
            finally:
                connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        connection.request("POST", "/v1/authz/check", self._body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        self.statuses[response.status] += 1
        if response.status in DECISIONS:
            self.answers.append((answer["request_id"], answer["allowed"]))


class Callers(list[Caller]):
    """The callers of one test."""

    @property
    def answers(self) -> list[Answer]:
        """Return every decision that any of them heard, by its id."""
        return [answer for caller in self for answer in caller.answers]

    @property
    def statuses(self) -> set[int]:
        """Return every status that any of them heard."""
        return {status for caller in self for status in caller.statuses}

    def heard(self, status: int) -> int:
        """Return how often any of them heard a status."""
        return sum(caller.statuses[status] for caller in self)

    def wait_for(self, count: int, status: int = 200) -> None:
        """Return once they have heard a status so many more times."""
        enough = self.heard(status) + count
        while self.heard(status) < enough:
            assert all(caller.is_alive() for caller in self)
            threading.Event().wait(0.002)


@contextmanager
def calling(*ports: int, secret: str, each: int = 2) -> Iterator[Callers]:
    """Ask gateways until the block ends."""
    stop = threading.Event()
    callers = Callers(Caller(port, secret, stop) for port in ports for _ in range(each))
    for caller in callers:
        caller.start()
    try:
        yield callers
    finally:
        stop.set()
        for caller in callers:
            caller.join()


@dataclass(frozen=True)
class Verdict:
    """What is recorded, beside what was heard."""

    recorded: dict[str, bool]
    lost: set[str]
    doubled: int
    invented: set[str]
    different: set[str]
    miscounted: list[tuple[str, int, int]]

    def require_whole(self, *, but_invented: bool = False) -> None:
        """Fail where a decision is lost, doubled, different or not counted, or stands there although nobody heard it.

        What a kill cut off may have been recorded: then `but_invented`.
        """
        assert not self.lost, f"{len(self.lost)} answers without a record"
        assert not self.doubled, f"{self.doubled} records that stand twice"
        assert not self.different, f"{len(self.different)} records that say otherwise than the answer"
        assert not self.miscounted, f"counts that are not the number of their rows: {self.miscounted}"
        assert but_invented or not self.invented, f"{len(self.invented)} records that nobody heard of"


def judge(answers: list[Answer], *spools: Path, address: str) -> Verdict:
    """Drain what is left of each host's spool, whose owners have ended, and compare."""
    with psycopg.connect(address, autocommit=True) as connection:
        for folder in spools:
            _drain(folder, Drain(connection, folder))
        rows = connection.execute(
            "SELECT 'req_' || replace(id::text, '-', ''), allowed FROM apiauth_decision"
        ).fetchall()
        counts = [(count, sum_of(connection, count), sum_of(connection, of)) for count, of in RECOUNTED.items()]
    recorded, heard = dict(rows), dict(answers)
    assert len(heard) == len(answers), "an id that was given twice"
    return Verdict(
        recorded=recorded,
        lost=heard.keys() - recorded.keys(),
        doubled=len(rows) - len(recorded),
        invented=recorded.keys() - heard.keys(),
        different={name for name, allowed in heard.items() if recorded.get(name, allowed) != allowed},
        miscounted=[(count, counted, recounted) for count, counted, recounted in counts if counted != recounted],
    )


def sum_of(connection: psycopg.Connection[tuple[int | None]], expression: str) -> int:
    """Return what one side of `RECOUNTED` comes to."""
    row = connection.execute(f"SELECT {expression}").fetchone()
    return int(row[0] or 0) if row else 0


def _drain(folder: Path, drain: Drain) -> None:
    until(lambda: _is_empty(folder, drain), 60, "the owners of the spool have ended")


def _is_empty(folder: Path, drain: Drain) -> bool:
    drain.drain_all()
    return not any(folder.glob("*.spool"))
