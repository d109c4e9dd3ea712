"""Where decisions go while the spool's disk takes none: straight into the database, before their answer."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import psycopg
import structlog

from apiauth.audit.connection import options_of
from apiauth.audit.record import Record
from apiauth.audit.spool import SpoolFull
from apiauth.audit.store import Store
from apiauth.core.sockets import patience

PAUSE_SECONDS = 1.0
TURN_SECONDS = 0.2
PATIENCE_SECONDS = 3.0

log = structlog.get_logger(__name__)


class Direct:
    """Stores records over a connection of its own, which it makes when it is first needed."""

    def __init__(self, direct_database_url: str) -> None:
        self._url = direct_database_url
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None
        self._store: Store | None = None
        self._pause_until = 0.0

    def __call__(self, records: Sequence[Record]) -> None:
        """Return once all records are committed; raise SpoolFull where none is, at once for a second after a failure.

        Where another thread waits for the database already, it is not waited for behind that one for long.
        A decision whose commit was not confirmed may be recorded although its caller hears a 503.
        """
        if not self._lock.acquire(timeout=TURN_SECONDS):
            raise SpoolFull
        try:
            self._take(records)
        finally:
            self._lock.release()

    def close(self) -> None:
        """Give the connection up; a later call would make another."""
        with self._lock:
            self._give_up()

    def _take(self, records: Sequence[Record]) -> None:
        if time.monotonic() < self._pause_until:
            raise SpoolFull
        try:
            self._commit(records)
        except psycopg.Error as error:
            log.error("spool.direct_failed", kind=type(error).__name__, error=str(error))
            self._give_up()
            raise SpoolFull from error

    def _commit(self, records: Sequence[Record]) -> None:
        connection = self._connection or self._connect()
        with patience(connection.fileno(), PATIENCE_SECONDS):
            if self._store is None:
                self._store = Store(connection)
            with connection.transaction():
                self._store.store(records)

    def _connect(self) -> psycopg.Connection[Any]:
        self._connection = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=2,
            application_name="keystead-gateway-direct",
            options=options_of(self._url, "-c statement_timeout=2s -c lock_timeout=1s"),
            tcp_user_timeout=2_000,
        )
        log.warning("spool.direct_begun")
        return self._connection

    def _give_up(self) -> None:
        connection, self._connection, self._store = self._connection, None, None
        self._pause_until = time.monotonic() + PAUSE_SECONDS
        if connection is not None:
            connection.close()
