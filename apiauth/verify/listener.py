"""Keeps the snapshot true: woken by the database, and asking it twice a second all the same.

A notification is only a wake-up; the poll is the truth, so one that is lost costs at most a
second. Every poll says when it began: the age of an answer is counted from there. A poll that
is not answered while the database answers others is asked again over another connection.
"""

import gc
import os
import select
import socket
import threading
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

import psycopg
import structlog

from apiauth.audit.connection import connect
from apiauth.audit.spool import host_name
from apiauth.core.secrets import Peppers
from apiauth.verify.history import NotedByNobody, NotThePrimary, identify
from apiauth.verify.look_ups import Flight, Heard, LookedUp, LookUps
from apiauth.verify.peppers import WrongPepper, require_peppers
from apiauth.verify.reading import sql
from apiauth.verify.resident import ResidentKeys
from apiauth.verify.snapshot import POLL_SECONDS, Snapshot
from apiauth.verify.tables import AnotherEpoch, Tables
from apiauth.verify.watch import DEADLINE_SECONDS, Watch

CHANNEL = "keystead_changes"
ACKNOWLEDGE_SECONDS = 5.0
POLL_WAIT_SECONDS = 0.1
EXTRA_POLLS_PER_SECOND = 20.0
KEYS_FREED_A_POLL = 2_000
LONGEST_BACK_OFF_SECONDS = 1.0

log = structlog.get_logger(__name__)


class Listener:
    """A thread with one connection that fills a snapshot and keeps it up to date."""

    def __init__(
        self,
        direct_database_url: str,
        snapshot: Snapshot,
        peppers: Peppers,
        limits: Literal["host", "shared"] = "host",
    ) -> None:
        self.incarnation = uuid.uuid4()
        self.loaded = threading.Event()
        self._url = direct_database_url
        self._snapshot = snapshot
        self._peppers = peppers
        self._limits = limits
        self._identity: str | None = None
        self._stopping = threading.Event()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._polled = threading.Condition()
        self._polls_begun = 0
        self._last_poll_done = 0
        self._one_extra_poll = threading.Lock()
        self._extra_polls = _Allowance(EXTRA_POLLS_PER_SECOND)
        self._look_ups = LookUps(self._wake)
        self._watch = Watch(direct_database_url)
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
        self._thread.join(timeout=DEADLINE_SECONDS + 1)
        self._watch.stop()
        self._wake_reader.close()
        self._wake_writer.close()

    def look_up(self, asked: Sequence[Sequence[bytes]] = ()) -> LookedUp:
        """Return keys that were not found among the recent ones, as the database knows them at this moment.

        Each entry of `asked` is one presented key, by its digest under each pepper. Where all
        keys are in memory the snapshot is brought up to date: a key may have been made an
        instant ago. Else those that are not there are read, and stay.
        """
        heard = Heard.NOW
        keys = self._snapshot.tables.keys
        if keys.is_complete:
            heard = self._poll_soon()
            keys = self._snapshot.tables.keys
            recent = keys.recent  # taken before the question whether it is complete
            if keys.is_complete:
                return LookedUp(heard, recent)
        return self._look_up_among(keys, asked)

    def _look_up_among(self, keys: ResidentKeys, asked: Sequence[Sequence[bytes]]) -> LookedUp:
        """Return keys of which not all are in memory."""
        heard = Heard.NOW
        found, lacking = keys.find(asked)
        if lacking and keys.are_absent(lacking):
            heard = self._poll_soon()
            if keys.are_absent(lacking):
                return LookedUp(heard, found)
        if not lacking:
            return LookedUp(heard, found)
        looked_up = self._look_ups.ask(lacking)
        return LookedUp(looked_up.heard, {**found, **looked_up.keys})

    def _poll_soon(self) -> Heard:
        """Have the snapshot brought up to this moment, and tell whether it was.

        At most one thread waits, at most a tenth of a second, and only so often: unknown keys
        must not slow down known ones.
        """
        if not self._one_extra_poll.acquire(blocking=False):
            return Heard.AT_LAST_POLL
        try:
            if not self._extra_polls.take():
                return Heard.AT_LAST_POLL
            begun = self._polls_begun
            self._wake()
            with self._polled:
                is_done = self._polled.wait_for(lambda: self._last_poll_done > begun, POLL_WAIT_SECONDS)
            return Heard.NOW if is_done else Heard.AT_LAST_POLL
        finally:
            self._one_extra_poll.release()

    def _wake(self) -> None:
        with suppress(OSError):  # enough wake-ups are waiting, or there is nobody left to wake
            self._wake_writer.send(b"\0")

    def _run(self) -> None:
        back_off = 0.05
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                self._serve()
            except (psycopg.Error, OSError, NotThePrimary, NotedByNobody, WrongPepper) as error:
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
            with self._watch.over(connection):
                identity = identify(connection)
                require_peppers(connection, self._peppers)
                noticed = _Noticed(connection)
            if identity != self._identity:
                self._load(connection)
                self._identity = identity
            self._listen(connection, noticed)
            with self._watch.over(connection):
                self._leave(connection)

    def _load(self, connection: psycopg.Connection[Any]) -> None:
        """Read everything into new tables: there are none yet, or theirs is another history.

        The gateway is on the list of those that have to acknowledge before it answers by the
        new tables, and they hold whatever was committed before it was on the list: so nobody
        who waits for every gateway is told that all have heard while this one has not.
        """
        began = time.monotonic()
        tables = Tables(self._snapshot.most_keys)
        with self._watch.over(connection):
            rows = tables.catch_up(connection, self._watch.extend)
        with self._watch.over(connection):
            self._acknowledge(connection, tables)
        confirmed_at = time.monotonic()
        with self._watch.over(connection):
            tables.catch_up(connection)
        self._snapshot.put(tables, confirmed_at)
        gc.freeze()  # a collection that walks a million rows would stop every check for its time
        self.loaded.set()
        log.info("snapshot.loaded", rows=rows, epoch=tables.epoch, seconds=round(time.monotonic() - began, 3))

    def _listen(self, connection: psycopg.Connection[Any], noticed: "_Noticed") -> None:
        acknowledged_at = float("-inf")
        while not self._stopping.is_set():
            was_called = noticed.is_set
            noticed.clear()
            flight = self._look_ups.take()
            try:
                changed = self._poll(connection)
                if flight is not None:
                    self._fetch(connection, flight)
            except AnotherEpoch:
                self._load(connection)
                acknowledged_at = float("-inf")
                continue
            finally:
                self._look_ups.end(flight)
            if changed or was_called or time.monotonic() - acknowledged_at >= ACKNOWLEDGE_SECONDS:
                acknowledged_at = time.monotonic()
                with self._watch.over(connection, is_quick=True):
                    self._acknowledge(connection, self._snapshot.tables)
            if not noticed.is_set:
                self._wait(connection, noticed)

    def _poll(self, connection: psycopg.Connection[Any]) -> int:
        with self._polled:
            self._polls_begun += 1
            number = self._polls_begun
        began = time.monotonic()
        with self._watch.over(connection, is_quick=True):
            changed = self._snapshot.tables.catch_up(connection, self._watch.end)
        self._snapshot.confirm(began)
        self._snapshot.tables.keys.tidy(KEYS_FREED_A_POLL)
        with self._polled:
            self._last_poll_done = number
            self._polled.notify_all()
        return changed

    def _fetch(self, connection: psycopg.Connection[Any], flight: Flight) -> None:
        with self._watch.over(connection, is_quick=True):
            flight.found = self._snapshot.tables.fetch(connection, flight.digests)

    def _acknowledge(self, connection: psycopg.Connection[Any], tables: Tables) -> None:
        """Say which changes this process has taken in: none of them, by tables that are not in force yet."""
        connection.execute(
            sql("acknowledge"),
            {
                "incarnation": self.incarnation,
                "host": host_name(),
                "pid": os.getpid(),
                "limits": self._limits,
                "stale_bound_seconds": self._snapshot.stale_bound_seconds,
                "generation": tables.horizon,
                "epoch": tables.epoch if tables is self._snapshot.tables else 0,
                "seen": tables.seen,
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
    # While a listener idles in a transaction the notification queue cannot be emptied; full, it stops every writer.
    # A plan for any horizon expects a third of all keys to have changed and reads the whole table, twice a second.
    connection = connect(url, "-c idle_in_transaction_session_timeout=10s -c plan_cache_mode=force_custom_plan")
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    return connection
