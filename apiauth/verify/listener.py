"""Keeps the snapshot true: woken by the database, and asking it once a second all the same.

A notification is only a wake-up; the poll is the truth, so one that is lost costs at most a
second. Every poll says when it began: the age of an answer is counted from there.
"""

import gc
import os
import select
import socket
import threading
import time
import uuid
from contextlib import suppress
from typing import Any

import psycopg
import structlog

from apiauth.audit.spool import host_name
from apiauth.core.secrets import Peppers
from apiauth.verify.peppers import WrongPepper, require_peppers
from apiauth.verify.snapshot import Snapshot, Tables, sql

CHANNEL = "keystead_changes"
POLL_SECONDS = 1.0
POLL_DEADLINE_SECONDS = 3.0
ACKNOWLEDGE_SECONDS = 5.0
LOOK_UP_SECONDS = 0.1
LOOK_UPS_PER_SECOND = 20.0
LONGEST_BACK_OFF_SECONDS = 1.0

log = structlog.get_logger(__name__)


class NotThePrimary(Exception):
    """The database is a standby, or cannot say which history it is on; it may be behind a revoke."""


class Listener:
    """A thread with one connection that fills a snapshot and keeps it up to date."""

    def __init__(self, direct_database_url: str, snapshot: Snapshot, peppers: Peppers) -> None:
        self.incarnation = uuid.uuid4()
        self.loaded = threading.Event()
        self._url = direct_database_url
        self._snapshot = snapshot
        self._peppers = peppers
        self._identity: tuple[str, ...] | None = None
        self._stopping = threading.Event()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._polled = threading.Condition()
        self._polls_begun = 0
        self._last_poll_done = 0
        self._one_look_up = threading.Lock()
        self._look_ups = _Allowance(LOOK_UPS_PER_SECOND)
        self._watch = _Watch()
        self._thread = threading.Thread(target=self._run, name="snapshot-listener", daemon=True)

    def start(self) -> None:
        """Begin to load and to listen; `loaded` is set once the snapshot can be used."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and its connection; a second call does nothing."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._wake()
        self._thread.join(timeout=POLL_DEADLINE_SECONDS + 1)
        self._watch.stop()
        self._wake_reader.close()
        self._wake_writer.close()

    def look_up(self) -> bool:
        """Bring the snapshot up to this moment; tell whether that was done.

        For a key that may have been made an instant ago. At most one thread waits, at most a
        tenth of a second, and only so often: unknown keys must not slow down known ones.
        """
        if not self._one_look_up.acquire(blocking=False):
            return False
        try:
            if not self._look_ups.take():
                return False
            begun = self._polls_begun
            self._wake()
            with self._polled:
                return self._polled.wait_for(lambda: self._last_poll_done > begun, LOOK_UP_SECONDS)
        finally:
            self._one_look_up.release()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # then enough wake-ups are waiting
            self._wake_writer.send(b"\0")

    def _run(self) -> None:
        back_off = 0.05
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                self._serve()
            except (psycopg.Error, OSError, NotThePrimary, WrongPepper) as error:
                log.error("listener.interrupted", kind=type(error).__name__, error=str(error))
                is_fresh = time.monotonic() - started > 10
                back_off = 0.05 if is_fresh else min(2 * back_off, LONGEST_BACK_OFF_SECONDS)
                self._stopping.wait(back_off)
            except Exception:
                # A loop that ends would let every answer age out until somebody restarts the process.
                log.exception("listener.failed")
                self._stopping.wait(LONGEST_BACK_OFF_SECONDS)

    def _serve(self) -> None:
        with _connect(self._url) as connection:
            identity = _identity(connection)
            require_peppers(connection, self._peppers)
            if identity != self._identity:
                self._load(connection)
                self._identity = identity
            self._listen(connection)
            self._leave(connection)

    def _load(self, connection: psycopg.Connection[Any]) -> None:
        """Read everything into new tables: there are none yet, or theirs is another history."""
        began = time.monotonic()
        tables = Tables()
        rows = tables.catch_up(connection)
        self._snapshot.put(tables, began)
        gc.freeze()  # a collection that walks a million rows would stop every check for its time
        self.loaded.set()
        log.info("snapshot.loaded", rows=rows, seconds=round(time.monotonic() - began, 3))

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        noticed = _Noticed(connection)
        acknowledged_at = float("-inf")
        while not self._stopping.is_set():
            noticed.clear()
            changed = self._poll(connection)
            if changed or time.monotonic() - acknowledged_at >= ACKNOWLEDGE_SECONDS:
                acknowledged_at = time.monotonic()
                self._acknowledge(connection)
            if not noticed.is_set:
                self._wait(connection, noticed)

    def _poll(self, connection: psycopg.Connection[Any]) -> int:
        with self._polled:
            self._polls_begun += 1
            number = self._polls_begun
        began = time.monotonic()
        with self._watch.over(connection):
            changed = self._snapshot.tables.catch_up(connection)
        self._snapshot.confirmed_at = began
        with self._polled:
            self._last_poll_done = number
            self._polled.notify_all()
        return changed

    def _acknowledge(self, connection: psycopg.Connection[Any]) -> None:
        """Say which changes this process has taken in: all by transactions below the horizon."""
        with self._watch.over(connection):
            connection.execute(
                sql("acknowledge"),
                {
                    "incarnation": self.incarnation,
                    "host": host_name(),
                    "pid": os.getpid(),
                    "generation": self._snapshot.tables.horizon,
                },
            )

    def _leave(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(sql("leave"), {"incarnation": self.incarnation})

    def _wait(self, connection: psycopg.Connection[Any], noticed: "_Noticed") -> None:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        poll.register(self._wake_reader.fileno(), select.POLLIN)
        for descriptor, _ in poll.poll(POLL_SECONDS * 1000):
            if descriptor == self._wake_reader.fileno():
                self._wake_reader.recv(4096)
            else:
                noticed.read()


class _Noticed:
    """Whether a notification has come since the last poll began, whoever read it off the wire."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.is_set = False
        self._connection = connection
        connection.add_notify_handler(self._on_notify)
        connection.execute(f"LISTEN {CHANNEL}")

    def clear(self) -> None:
        self.is_set = False

    def read(self) -> None:
        """Take in what has arrived; raises OperationalError where that is the end of the connection."""
        self._connection.pgconn.consume_input()
        while self._connection.pgconn.notifies():
            self.is_set = True

    def _on_notify(self, notify: psycopg.Notify) -> None:
        self.is_set = True


class _Watch:
    """Cuts a connection off that has not answered in time: a half-open one would wait for ever."""

    def __init__(self) -> None:
        self._state = threading.Condition()
        self._deadline: float | None = None
        self._descriptor = -1
        self._stopped = False
        threading.Thread(target=self._run, name="listener-watch", daemon=True).start()

    def over(self, connection: psycopg.Connection[Any]) -> "_Watched":
        """Return a context in which the connection has POLL_DEADLINE_SECONDS."""
        return _Watched(self, connection.fileno())

    def begin(self, descriptor: int) -> None:
        with self._state:
            self._descriptor = descriptor
            self._deadline = time.monotonic() + POLL_DEADLINE_SECONDS

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
                self._state.wait(POLL_SECONDS)
                if self._deadline is not None and time.monotonic() > self._deadline:
                    self._deadline = None
                    log.error("listener.cut_off", seconds=POLL_DEADLINE_SECONDS)
                    _shut_down(self._descriptor)


class _Watched:
    def __init__(self, watch: _Watch, descriptor: int) -> None:
        self._watch = watch
        self._descriptor = descriptor

    def __enter__(self) -> None:
        self._watch.begin(self._descriptor)

    def __exit__(self, *exception: object) -> None:
        self._watch.end()


class _Allowance:
    """So many per second, and as many at once; a token bucket."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._left = per_second
        self._at = time.monotonic()

    def take(self) -> bool:
        """Use one up; tell whether there was one. Called under a lock of the caller's."""
        now = time.monotonic()
        self._left = min(self._per_second, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _connect(url: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=2,
        application_name="keystead-gateway",
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=2,
        tcp_user_timeout=10_000,
    )
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    return connection


def _identity(connection: psycopg.Connection[Any]) -> tuple[str, ...]:
    standby = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    if standby is None or standby[0]:
        raise NotThePrimary("the database is a standby")
    row = connection.execute(sql("identity")).fetchone()
    if row is None:
        raise NotThePrimary("the database does not say which one it is")
    return tuple(row)


def _shut_down(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:  # it may be gone already
        copy.shutdown(socket.SHUT_RDWR)
