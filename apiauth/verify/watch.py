"""Ends waits for a database that has fallen silent: a half-open connection would be waited for without end."""

import threading
import time
from contextlib import suppress
from typing import Any

import psycopg
import structlog

from apiauth.audit.connection import connect
from apiauth.core.sockets import shut_down

DEADLINE_SECONDS = 3.0
DOUBT_SECONDS = 0.3
"""After how long a silent connection is doubted: the database is asked over another one whether it answers at all."""
DOUBT_EVERY_SECONDS = 2.5
"""How often at most a connection is doubted: where the database is slow, others are opened no more often than that."""
NEVER = float("inf")

log = structlog.get_logger(__name__)


class Watch:
    """Cuts a connection off that has not answered in time: a half-open one would wait for ever.

    With `url`, a connection whose answer should be quick is cut off before its time where the
    database answers at once over another. Where it does not it is slow, and a new connection
    would bring nothing sooner.
    """

    def __init__(self, url: str | None = None) -> None:
        self._url = url
        self._state = threading.Condition()
        self._deadline = self._doubt_at = self._looks_at = NEVER
        self._next_doubt_at = 0.0
        self._waits = 0
        self._descriptor = -1
        self._is_quick = False
        self._stopped = False
        threading.Thread(target=self._run, name="listener-watch", daemon=True).start()

    def over(self, connection: psycopg.Connection[Any], *, is_quick: bool = False) -> "Watched":
        """Return a context in which the connection has DEADLINE_SECONDS; a quick one is doubted before."""
        return Watched(self, connection.fileno(), is_quick=is_quick)

    def begin(self, descriptor: int, *, is_quick: bool) -> None:
        with self._state:
            self._descriptor, self._is_quick = descriptor, is_quick
            self._wait_anew()

    def extend(self) -> None:
        """Begin the time anew: something has arrived."""
        with self._state:
            self._wait_anew()

    def end(self) -> None:
        with self._state:
            self._waits += 1
            self._deadline = self._doubt_at = NEVER

    def stop(self) -> None:
        with self._state:
            self._stopped = True
            self._state.notify()

    def _wait_anew(self) -> None:
        now = time.monotonic()
        self._waits += 1
        self._deadline = now + DEADLINE_SECONDS
        self._doubt_at = max(now + DOUBT_SECONDS, self._next_doubt_at) if self._is_quick and self._url else NEVER
        if min(self._deadline, self._doubt_at) < self._looks_at:
            self._state.notify()

    def _run(self) -> None:
        while (doubted := self._next_doubted()) is not None:
            if self._database_answers():
                with self._state:
                    if self._waits == doubted:
                        self._cut_off(DOUBT_SECONDS)

    def _next_doubted(self) -> int | None:
        """Return the number of the next wait that is in doubt, None once stopped; cut off what is past its time."""
        with self._state:
            while not self._stopped:
                now = time.monotonic()
                if now >= self._deadline:
                    self._cut_off(DEADLINE_SECONDS)
                elif now >= self._doubt_at:
                    self._doubt_at, self._next_doubt_at = NEVER, now + DOUBT_EVERY_SECONDS
                    return self._waits
                self._looks_at = min(self._deadline, self._doubt_at)
                self._state.wait(None if self._looks_at == NEVER else self._looks_at - now)
        return None

    def _database_answers(self) -> bool:
        """Tell whether the database takes another connection; that takes two seconds at the most."""
        with suppress(psycopg.Error):
            connect(self._url or "").close()
            return True
        return False

    def _cut_off(self, seconds: float) -> None:
        self._deadline = self._doubt_at = NEVER
        log.error("listener.cut_off", seconds=seconds)
        shut_down(self._descriptor)


class Watched:
    def __init__(self, watch: Watch, descriptor: int, *, is_quick: bool) -> None:
        self._watch = watch
        self._descriptor = descriptor
        self._is_quick = is_quick

    def __enter__(self) -> None:
        self._watch.begin(self._descriptor, is_quick=self._is_quick)

    def __exit__(self, *exception: object) -> None:
        self._watch.end()
