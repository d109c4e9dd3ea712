"""Where decisions go while the spool's disk takes none: straight into the database, before their answer."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import psycopg
import structlog

from apiauth.audit.record import Record
from apiauth.audit.spool import SpoolFull
from apiauth.audit.store import Store

PAUSE_SECONDS = 1.0

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

        A decision whose commit was not confirmed may be recorded although its caller hears a 503.
        """
        with self._lock:
            if time.monotonic() < self._pause_until:
                raise SpoolFull
            try:
                self._commit(records)
            except psycopg.Error as error:
                log.error("spool.direct_failed", kind=type(error).__name__, error=str(error))
                self._give_up()
                raise SpoolFull from error

    def close(self) -> None:
        """Give the connection up; a later call would make another."""
        with self._lock:
            self._give_up()

    def _commit(self, records: Sequence[Record]) -> None:
        if self._connection is None or self._store is None:
            self._connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=2,
                application_name="keystead-gateway-direct",
                options="-c statement_timeout=2s -c lock_timeout=1s",
                tcp_user_timeout=2_000,
            )
            self._store = Store(self._connection)
            log.warning("spool.direct_begun")
        with self._connection.transaction():
            self._store.store(records)

    def _give_up(self) -> None:
        connection, self._connection, self._store = self._connection, None, None
        self._pause_until = time.monotonic() + PAUSE_SECONDS
        if connection is not None:
            connection.close()
