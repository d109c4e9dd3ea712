"""The worker's loop: drain, keep partitions ahead, and come back after every database outage."""

import threading
import time
from collections.abc import Callable
from datetime import date
from typing import Any, Protocol

import psycopg
import structlog

from apiauth.audit.app_retention import forget_of_apps
from apiauth.audit.connection import connect
from apiauth.audit.drain import PATIENCE_SECONDS, Drain
from apiauth.audit.lag import Lag
from apiauth.audit.partitions import drop_partitions, ensure_partitions
from apiauth.audit.retention import forget_spent
from apiauth.audit.room import make_folder
from apiauth.audit.statements import sql
from apiauth.core.sockets import patience

IDLE_SECONDS = 0.2
HOUSEKEEPING_SECONDS = 3600
MORE_TO_FORGET_SECONDS = 5.0
LONGEST_BACK_OFF_SECONDS = 2.0
HOUSEKEEPING_PATIENCE_SECONDS = 600.0
# Nobody is waited for without end, and nobody waits for a worker whose connection was lost within a transaction.
SETTINGS = "-c lock_timeout=5s -c idle_in_transaction_session_timeout=30s"

# What another worker or a reader is the cause of, and passes; a partition that another dropped meanwhile is one.
_PASSING = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.QueryCanceled,
    psycopg.errors.UndefinedTable,
)

log = structlog.get_logger(__name__)


class Settings(Protocol):
    """The part of the environment that a worker reads."""

    @property
    def direct_database_url(self) -> str: ...
    @property
    def spool_dir(self) -> Any: ...
    @property
    def keep_decisions_days(self) -> int: ...


def run(environment: Settings, stop: threading.Event, on_ready: Callable[[], None]) -> None:
    """Work until `stop` is set; call `on_ready` once the database has been reached."""
    back_off = 0.1
    ready = _Once(on_ready)
    make_folder(environment.spool_dir)
    while not stop.is_set():
        started = time.monotonic()
        try:
            with connect(environment.direct_database_url, SETTINGS, name="keystead-worker") as connection:
                _work(connection, environment, stop, ready)
        except (psycopg.Error, OSError) as error:
            # The one place where a failure is survived by trying again: nothing is lost by waiting.
            log.error("worker.interrupted", error=str(error), kind=type(error).__name__)
            back_off = 0.1 if time.monotonic() - started > 10 else min(2 * back_off, LONGEST_BACK_OFF_SECONDS)
            stop.wait(back_off)


class _Once:
    """Calls a function the first time it is called itself."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function: Callable[[], None] | None = function

    def __call__(self) -> None:
        function, self._function = self._function, None
        if function is not None:
            function()


def _work(
    connection: psycopg.Connection[Any], environment: Settings, stop: threading.Event, ready: Callable[[], None]
) -> None:
    with patience(connection.fileno(), PATIENCE_SECONDS):
        connection.execute(sql("note_history"))
        drain = Drain(connection, environment.spool_dir, patience_seconds=PATIENCE_SECONDS)
    lag = Lag(connection, environment.spool_dir)
    next_housekeeping = 0.0
    while not stop.is_set():
        if time.monotonic() >= next_housekeeping:
            with patience(connection.fileno(), HOUSEKEEPING_PATIENCE_SECONDS):
                next_housekeeping = time.monotonic() + _keep_house(connection, environment.keep_decisions_days)
        ready()
        drained = drain.drain()
        with patience(connection.fileno(), PATIENCE_SECONDS):
            lag.note(drained)
        if not drained:
            stop.wait(IDLE_SECONDS)
    with patience(connection.fileno(), PATIENCE_SECONDS):
        lag.leave()


def _keep_house(connection: psycopg.Connection[Any], keep_decisions_days: int) -> float:
    """Keep partitions ahead, forget what is due, and return the seconds until the next time: sooner where it failed.

    A lock that is not to be had is no reason to stop draining: there is a week of partitions left.
    """
    try:
        today = _today(connection)
        ensure_partitions(connection, today)
        drop_partitions(connection, keep_decisions_days, today)
        forget_spent(connection)
        has_more = forget_of_apps(connection, today)
    except _PASSING as error:
        log.warning("worker.housekeeping_later", error=str(error))
        return 60.0
    return MORE_TO_FORGET_SECONDS if has_more else HOUSEKEEPING_SECONDS


def _today(connection: psycopg.Connection[Any]) -> date:
    """Return the database's day: decisions are dated by its clock, and a host whose own is ahead would drop them."""
    row = connection.execute("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::date").fetchone()
    assert row is not None
    today: date = row[0]
    return today
