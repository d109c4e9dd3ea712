"""Whether a change is in force on every gateway; a caller may wait until it is."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import BigIntegerField, QuerySet
from django.db.models.expressions import RawSQL

from apiauth.audit.statements import statements
from apiauth.models import App, BackendKey, GatewayStatus, Key, RateLimitScheme
from apiauth.services.refusals import atomic_but_for_refusals
from apiauth.verify.listener import ACKNOWLEDGE_SECONDS
from apiauth.verify.watch import DEADLINE_SECONDS

LONGEST_WAIT_SECONDS = 10
MOST_WAITING = 2  # half of a web process's threads: the others go on answering
_UNHEARD_SECONDS = ACKNOWLEDGE_SECONDS + DEADLINE_SECONDS  # from what a gateway wrote to its last poll, at most
_FIRST_PAUSE_SECONDS = 0.005
_LONGEST_PAUSE_SECONDS = 0.1

Result = TypeVar("Result")
Watched = App | BackendKey | Key | RateLimitScheme
Row = TypeVar("Row", App, BackendKey, Key, RateLimitScheme)
sql = statements(Path(__file__).parent / "sql")
_seats = threading.BoundedSemaphore(MOST_WAITING)


@dataclass(frozen=True, slots=True)
class Propagation:
    """How many gateways have taken a change in, of how many that may still answer."""

    acknowledged: int
    live: int

    @property
    def is_complete(self) -> bool:
        """Tell whether no gateway can still answer as before the change."""
        return self.acknowledged == self.live

    @property
    def sentence(self) -> str:
        """Say it to people."""
        if not self.live:
            return "No gateway is running."
        return f"In force on {self.acknowledged} of {self.live} gateway{'' if self.live == 1 else 's'}."


def carry_out(operation: Callable[[], Result]) -> tuple[Result, int]:
    """Carry out a change in one transaction that is over on return; return its result and the transaction's id.

    A call that changes nothing, as one that is sent again, gets an id too: later than whatever
    it answers about. Gateways are asked to acknowledge.
    """
    with atomic_but_for_refusals():
        result = operation()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_current_xact_id()::text, pg_notify('keystead_changes', 'acknowledge')")
            row = cursor.fetchone()
    assert row is not None
    return result, int(row[0])


def progress(change: int) -> Propagation:
    """Return how far the change of a transaction has come.

    A gateway counts as long as it may still answer: its own stale bound after the last poll that
    it can have finished since it last wrote.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql("in_force"), {"change": str(change), "unheard_seconds": _UNHEARD_SECONDS})
        row = cursor.fetchone()
    assert row is not None
    return Propagation(*row)


def may_answer(gateway: GatewayStatus, now: datetime) -> bool:
    """Tell whether a gateway may still answer, as `progress` counts it."""
    return gateway.confirmed_at + timedelta(seconds=gateway.stale_bound_seconds + _UNHEARD_SECONDS) > now


def wait(change: int, seconds: float) -> tuple[Propagation, bool]:
    """Wait until every gateway has taken a change in, at most so long.

    Return how far it came, and whether the wish to wait was heeded: where too many wait already,
    this returns at once. Holds no transaction.
    """
    found = progress(change)
    if found.is_complete:
        return found, True
    if not _seats.acquire(blocking=False):
        return found, False
    try:
        return _wait(change, time.monotonic() + min(seconds, LONGEST_WAIT_SECONDS)), True
    finally:
        _seats.release()


def _wait(change: int, deadline: float) -> Propagation:
    pause = _FIRST_PAUSE_SECONDS
    while True:
        found = progress(change)
        left = deadline - time.monotonic()
        if found.is_complete or left <= 0:
            return found
        time.sleep(min(pause, left))
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def of_all_so_far(seconds: float) -> Propagation:
    """Return how far everything has come that is committed by now, after a wait as `wait` has it."""
    _, change = carry_out(lambda: None)
    return wait(change, seconds)[0]


def of_row(row: Watched) -> Propagation:
    """Return how far the last change of a row has come."""
    rows: QuerySet[Any] = type(row)._default_manager.filter(pk=row.pk)
    return of_told(with_progress(rows).get())


def with_progress(rows: QuerySet[Row]) -> QuerySet[Row]:
    """Read with rows how far the last change of each has come: what `of_told` then says of one."""
    shape = ArrayField(BigIntegerField())
    counts = RawSQL(sql("in_force_of_row"), [_UNHEARD_SECONDS], output_field=shape)  # noqa: S611  # the text is a file of ours, the value a parameter
    return rows.annotate(gateways=counts)


def of_told(row: Watched) -> Propagation:
    """Return how far the last change of a row has come that was read by `with_progress`."""
    return Propagation(*row.gateways)  # type: ignore[union-attr]  # `with_progress` adds it to the row
