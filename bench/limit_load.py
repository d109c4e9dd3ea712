"""Paced callers of several gateways, and a judge who counts what they were answered, window by window.

The judge knows nothing but the callers' own log. An answer's moment is the one that the gateway
decided by: a request id begins with it. Two gateways agree about it to within what a round trip
to the database leaves open, so what lies that near to a window's edge may belong to either side.
"""

import http.client
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

EDGE_MS = 20
CALLERS = 2
"""How many callers each gateway has: its processes count against each other, and its threads too."""


class Answer(NamedTuple):
    """What one call came to."""

    gateway: int
    request_id: str
    allowed: bool

    @property
    def at_ms(self) -> int:
        """The moment that the gateway decided by."""
        return int(self.request_id[4:16], 16)


class Unanswered(NamedTuple):
    """A call that may have been counted though nobody heard of it, between two moments of this machine's clock."""

    from_ms: int
    until_ms: int


class Caller(threading.Thread):
    """Asks one gateway at a steady pace, and keeps what it was answered and what it was not."""

    def __init__(self, gateway: int, port: int, body: bytes) -> None:
        super().__init__(daemon=True)
        self.answers: list[Answer] = []
        self.unanswered: list[Unanswered] = []
        self.per_second = 0.0
        self._gateway, self._port, self._body = gateway, port, body
        self._ending = threading.Event()

    def end(self) -> None:
        """Ask no more."""
        self._ending.set()

    def run(self) -> None:
        """Ask until told to end; connect again after every reset."""
        while not self._ending.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            try:
                connection.connect()
                self._ask_on(connection)
            except (OSError, http.client.HTTPException):
                self._ending.wait(0.02)
            finally:
                connection.close()

    def _ask_on(self, connection: http.client.HTTPConnection) -> None:
        due = time.monotonic()
        while not self._ending.wait(max(0.0, due - time.monotonic())):
            if not self.per_second:
                due = time.monotonic() + 0.01
                continue
            due = max(due, time.monotonic() - 0.2) + 1 / self.per_second
            began = _now_ms()
            try:
                connection.request("POST", "/v1/authz/check", self._body, {"Content-Type": "application/json"})
                response = connection.getresponse()
                answer = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError):
                self.unanswered.append(Unanswered(began, _now_ms()))
                raise http.client.HTTPException from None
            if response.status == 200:
                self.answers.append(Answer(self._gateway, answer["request_id"], answer["allowed"]))


class Load:
    """All callers of one key."""

    def __init__(self, ports: Iterable[int], body: bytes) -> None:
        self.callers = [Caller(gateway, port, body) for gateway, port in enumerate(ports) for _ in range(CALLERS)]
        for caller in self.callers:
            caller.start()

    def pace(self, per_second: float) -> None:
        """Ask so often from now on, all callers together."""
        for caller in self.callers:
            caller.per_second = per_second / len(self.callers)

    def end(self) -> None:
        """Ask no more, and wait for what is under way."""
        for caller in self.callers:
            caller.end()
        for caller in self.callers:
            caller.join()

    @property
    def answers(self) -> list[Answer]:
        """Every answer that any of them heard."""
        return [answer for caller in self.callers for answer in caller.answers]

    @property
    def unanswered(self) -> list[Unanswered]:
        """Every call that was cut off."""
        return [each for caller in self.callers for each in caller.unanswered]

    def judged(self, limit: int, length_ms: int) -> list["Window"]:
        """Return every window that calls were made in, in order."""
        return judge(self.answers, self.unanswered, limit, length_ms)


@dataclass(frozen=True)
class Window:
    """What happened in one window of a limit."""

    starts_ms: int
    demand: int
    admitted: int
    over: int
    under: int
    """Calls that were denied though the limit had room; none where a call that nobody heard of may have taken it."""
    has_overlap: bool
    """Every gateway admitted calls in it, and none of them only before or only after another one."""


def judge(answers: list[Answer], unanswered: list[Unanswered], limit: int, length_ms: int) -> list[Window]:
    """Return what the answers say of each window."""
    windows: dict[int, list[Answer]] = defaultdict(list)
    for answer in answers:
        windows[answer.at_ms - answer.at_ms % length_ms].append(answer)
    gateways = {answer.gateway for answer in answers}
    found = []
    for start in sorted(windows):
        within, end = windows[start], start + length_ms
        core = sum(answer.allowed for answer in within if _is_inside(answer.at_ms, start + EDGE_MS, end - EDGE_MS))
        near = sum(
            answer.allowed
            for other in (start - length_ms, start, end)
            for answer in windows.get(other, ())
            if _is_inside(answer.at_ms, start - EDGE_MS, end + EDGE_MS)
        )
        unheard = sum(each.from_ms < end + EDGE_MS and each.until_ms >= start - EDGE_MS for each in unanswered)
        found.append(
            Window(
                starts_ms=start,
                demand=len(within),
                admitted=sum(answer.allowed for answer in within),
                over=max(0, core - limit),
                under=max(0, min(limit, len(within)) - near - unheard),
                has_overlap=_have_overlap([answer for answer in within if answer.allowed], gateways),
            )
        )
    return found


def _is_inside(at_ms: int, start: int, end: int) -> bool:
    return start <= at_ms < end


def _have_overlap(admitted: list[Answer], gateways: set[int]) -> bool:
    spans = [[answer.at_ms for answer in admitted if answer.gateway == gateway] for gateway in gateways]
    if not all(spans):
        return False
    return max(min(span) for span in spans) <= min(max(span) for span in spans)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def stated_remainder(limit: int, hosts: int, processes_per_host: int, waiting: int = 0) -> int:
    """Return how many calls of a window hosts may hold at most that one of them is denied: see decision 0010.

    `waiting` is how many checks of a process may wait at once for this limit while another limit of theirs
    denies them in the end: what was leased for them is held.
    """
    lease = max(limit // 20, waiting)
    return (hosts - 1) * (lease + lease // 2 + lease * (processes_per_host - 1))
