"""Ends waits for a database that has fallen silent: a half-open connection would be waited for without end."""

import threading
import time
from typing import Any

import psycopg
import structlog

from apiauth.core.sockets import shut_down

DEADLINE_SECONDS = 3.0

log = structlog.get_logger(__name__)


class Watch:
    """Cuts a connection off that has not answered in time: a half-open one would wait for ever."""

    def __init__(self) -> None:
        self._state = threading.Condition()
        self._deadline: float | None = None
        self._descriptor = -1
        self._stopped = False
        threading.Thread(target=self._run, name="listener-watch", daemon=True).start()

    def over(self, connection: psycopg.Connection[Any]) -> "Watched":
        """Return a context in which the connection has DEADLINE_SECONDS."""
        return Watched(self, connection.fileno())

    def begin(self, descriptor: int) -> None:
        with self._state:
            self._descriptor = descriptor
            self._deadline = time.monotonic() + DEADLINE_SECONDS

    def extend(self) -> None:
        """Begin the time anew: something has arrived."""
        with self._state:
            self._deadline = time.monotonic() + DEADLINE_SECONDS

    def end(self) -> None:
        with self._state:
            self._deadline = None

    def stop(self) -> None:
        with self._state:
            self._stopped = True
            self._state.notify()

    def _run(self) -> None:
        with self._state:
            while not self._stopped:
                self._state.wait(1.0)
                if self._deadline is not None and time.monotonic() > self._deadline:
                    self._deadline = None
                    log.error("listener.cut_off", seconds=DEADLINE_SECONDS)
                    shut_down(self._descriptor)


class Watched:
    def __init__(self, watch: Watch, descriptor: int) -> None:
        self._watch = watch
        self._descriptor = descriptor

    def __enter__(self) -> None:
        self._watch.begin(self._descriptor)

    def __exit__(self, *exception: object) -> None:
        self._watch.end()
