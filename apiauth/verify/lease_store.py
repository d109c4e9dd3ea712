"""Asks the database for leases: so many calls of a limit's window, promised to this host alone.

A thread with a connection of its own asks, all that is wanted at once, so that no check waits
for another one's answer. Who has to wait does so for a bounded time. From the first answer that
comes too late until the next one that comes, nobody waits: the host lives on what it holds.
"""

import select
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
import structlog

from apiauth.audit.connection import connect
from apiauth.core import clock
from apiauth.verify.reading import sql
from apiauth.verify.watch import DEADLINE_SECONDS, Watch

WAIT_SECONDS = 0.25
MOST_ASKED = 10_000
LONGEST_BACK_OFF_SECONDS = 1.0
_PROBE = "SELECT FROM apiauth_limitlease LIMIT 0 FOR UPDATE"  # a standby refuses it, as it would a lease

log = structlog.get_logger(__name__)


class Want(NamedTuple):
    """A window of a limit that calls are wanted of; `limit` is how many it has in all."""

    identity: bytes
    starts_ms: int
    ends_ms: int
    limit: int

    @property
    def key(self) -> tuple[bytes, int]:
        """Return what its row is found by."""
        return self.identity, self.starts_ms


class Lease(NamedTuple):
    """What came of a want: so many calls for this host, and how many are now leased to all hosts."""

    want: Want
    calls: int
    leased: int


class LeaseStore:
    """The one count that all hosts share."""

    def __init__(self, direct_database_url: str, wait_seconds: float | None = None) -> None:
        self._url = direct_database_url
        self._wait_seconds = WAIT_SECONDS if wait_seconds is None else wait_seconds
        self._state = threading.Condition()
        self._asked: dict[tuple[bytes, int], _Asked] = {}
        self._sent: dict[tuple[bytes, int], _Asked] = {}
        self._degraded_since: datetime | None = None
        self._stopping = False
        self._failures = 0
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._watch = Watch()
        self._deliver: Callable[[Lease], None] = lambda lease: None
        self._thread = threading.Thread(target=self._run, name="lease-store", daemon=True)

    @property
    def degraded_since(self) -> datetime | None:
        """Since when the database gives no leases; None as long as it does."""
        return self._degraded_since

    def start(self, deliver: Callable[[Lease], None]) -> None:
        """Begin to ask; every lease is handed to `deliver` before those who wait for it go on."""
        self._deliver = deliver
        self._thread.start()

    def stop(self) -> None:
        """End the thread and its connection; a second call does nothing."""
        with self._state:
            if self._stopping:
                return
            self._stopping = True
            self._state.notify_all()
        self._wake()
        self._thread.join(timeout=DEADLINE_SECONDS + 1)
        self._watch.stop()
        self._wake_reader.close()
        self._wake_writer.close()

    def ask(self, wants: Sequence[Want]) -> None:
        """Ask for leases that will soon be needed, and go on."""
        with self._state:
            if self._degraded_since is None:
                for want in wants:
                    if want.key not in self._sent:
                        self._put(want, waiting=0)

    def obtain(self, wants: Sequence[Want]) -> bool:
        """Ask for leases and wait for the answers; tell whether they came in time."""
        with self._state:
            if self._degraded_since is not None:
                return False
            asked = [self._put(want, waiting=1) for want in wants]
            self._state.wait_for(lambda: all(each is None or each.is_over for each in asked), self._wait_seconds)
            if all(each is not None and each.is_answered for each in asked):
                return True
            self._degrade()
            return False

    def _put(self, want: Want, waiting: int) -> "_Asked | None":
        """Note what is wanted, once for all who want it. None where too much is noted already."""
        asked = self._asked.get(want.key)
        if asked is None:
            if len(self._asked) >= MOST_ASKED:
                return None
            asked = self._asked[want.key] = _Asked(want)
            self._wake()
        asked.waiting += waiting
        return asked

    def _wake(self) -> None:
        with suppress(OSError):  # enough wake-ups are waiting, or the thread is gone
            self._wake_writer.send(b"\0")

    def _degrade(self) -> None:
        """Let nobody wait any more. Called with the state's lock."""
        if self._degraded_since is None and not self._stopping:
            self._degraded_since = clock.now()
            log.error("limits.degraded")
        for asked in (*self._asked.values(), *self._sent.values()):
            asked.is_over = True
        self._asked.clear()
        self._state.notify_all()

    def _recover(self) -> None:
        self._failures = 0
        with self._state:
            if self._degraded_since is not None:
                self._degraded_since = None
                log.info("limits.recovered")

    def _run(self) -> None:
        while not self._stopping:
            try:
                with connect(self._url) as connection:
                    self._serve(connection)
            except Exception as error:
                # A loop that ends would leave this process degraded until somebody restarts it.
                log.error("lease_store.interrupted", kind=type(error).__name__, error=str(error))
                self._fail()

    def _fail(self) -> None:
        """Connect again: at once where a connection was cut, after a while where the database gives no answer."""
        self._failures += 1
        if self._failures == 1:
            return
        with self._state:
            self._degrade()
            self._sent = {}
            pause = min(0.05 * self._failures, LONGEST_BACK_OFF_SECONDS)
            self._state.wait_for(lambda: self._stopping, pause)

    def _serve(self, connection: psycopg.Connection[Any]) -> None:
        while not self._stopping:
            if self._send():
                self._lease(connection)
            elif self._degraded_since is not None:
                with self._watch.over(connection):
                    connection.execute(_PROBE)
                self._recover()
            else:
                self._wait(connection)

    def _send(self) -> bool:
        """Take what is asked to be sent, unless an answer was cut off: then that is asked once more."""
        with self._state:
            if not self._sent:
                self._sent, self._asked = self._asked, {}
            return bool(self._sent)

    def _lease(self, connection: psycopg.Connection[Any]) -> None:
        """Ask for all at once, in an order that all hosts keep, so that none waits for another in a ring."""
        asked = sorted(self._sent.values(), key=lambda each: each.want)
        with self._watch.over(connection), connection.cursor() as cursor:
            cursor.executemany(sql("lease"), [each.parameters() for each in asked], returning=True)
            for each in asked:
                calls, leased = cursor.fetchone() or (0, 0)
                self._deliver(Lease(each.want, calls, leased))
                cursor.nextset()
        self._recover()
        with self._state:
            for each in asked:
                each.is_over = each.is_answered = True
            self._sent = {}
            self._state.notify_all()

    def _wait(self, connection: psycopg.Connection[Any]) -> None:
        """Return when something is wanted; raises OperationalError where the connection has ended."""
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        poll.register(self._wake_reader.fileno(), select.POLLIN)
        for descriptor, _ in poll.poll():
            if descriptor == self._wake_reader.fileno():
                self._wake_reader.recv(4096)
            else:
                connection.pgconn.consume_input()


class _Asked:
    """A want, how many wait for it, and what has become of it."""

    __slots__ = ("is_answered", "is_over", "waiting", "want")

    def __init__(self, want: Want) -> None:
        self.want = want
        self.waiting = 0
        self.is_over = False
        self.is_answered = False

    def parameters(self) -> dict[str, object]:
        return {**self.want._asdict(), "waiting": self.waiting}
