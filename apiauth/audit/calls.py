"""What a key was used for lately, row by row: the material for asking what a change would break."""

from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled
from psycopg.sql import SQL, Composed, Literal

from apiauth.audit.statements import sql
from apiauth.core import clock, ids
from apiauth.core.limit_states import LimitState, states_of

Call = tuple[int, str | None, str, str, str]
"""Unix time in milliseconds, address, method, path, and the required permissions as JSON text."""

MINUTES_KEPT = timedelta(days=2)


def recent_calls(
    *, app_id: int, key_ids: Collection[int], start: datetime, end: datetime, most: int, longest_ms: int
) -> list[Call] | None:
    """Return at most so many allowed calls of some keys together, from `start` on and before `end`, the newest first.

    None where reading them took longer than `longest_ms`.
    """
    values: dict[str, Any] = {"app_id": app_id, "start": start, "end": end, "most": most}
    within = transaction.atomic() if connection.in_atomic_block else nullcontext()  # a caller's must live on
    try:
        with within, connection.cursor() as cursor:
            cursor.execute(_recent_calls(key_ids), values | {"longest_ms": longest_ms})
            cursor.nextset()
            calls: list[Call] = cursor.fetchall()
            return calls
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        return None


def _recent_calls(key_ids: Collection[int]) -> Composed:
    of_key = SQL(sql("recent_calls_of_key"))
    parts = [of_key.format(key_id=Literal(key_id)) for key_id in key_ids]
    return SQL(sql("recent_calls")).format(calls=SQL("UNION ALL").join(parts))


@dataclass(frozen=True, slots=True)
class KeyCall:
    """What the page of a key tells of one call: nothing about who made it."""

    id: str
    method: str
    path: str
    allowed: bool
    limits: str
    """How limits stood, as `limit_states` writes it."""

    @property
    def request_id(self) -> str:
        """Return the id that the caller was given."""
        return ids.request_id(UUID(self.id))

    @property
    def decided_at(self) -> datetime:
        """Return when it was decided."""
        return clock.from_ms(ids.decision_time_ms(UUID(self.id)))

    @property
    def rate_limits(self) -> list[LimitState]:
        """Return how limits stood after it."""
        return states_of(self.limits)


def newest_of_key(*, app_id: int, key_id: int, start: datetime, end: datetime, most: int) -> list[KeyCall]:
    """Return at most so many calls of a key from `start` on and before `end`, the newest first."""
    values: dict[str, Any] = {"app_id": app_id, "key_id": key_id, "start": start, "end": end, "most": most}
    with connection.cursor() as cursor:
        cursor.execute(sql("newest_of_key"), values)
        [(calls,)] = cursor.fetchall()
    return [KeyCall(*call) for call in calls]


@dataclass(frozen=True, slots=True)
class SecretCalls:
    """What one secret was used for, as far as the log is complete."""

    calls: int
    is_exact: bool
    """False where it made more calls, since nobody can say of some whether they were before the moment."""
    addresses: list[str]
    complete_until: datetime


def calls_of_secrets(
    *, app_id: int, key_ids: Collection[int], since: datetime, now: datetime
) -> dict[int, SecretCalls]:
    """Return of each key how many calls it made since a moment, and the addresses of its last calls of a day.

    The calls are counted by the minute as long as those are kept, then by the hour, and one by one in the
    first of them. The addresses are at most five, the most frequent of the last thousand allowed calls first.
    """
    by_minute = now - since < MINUTES_KEPT
    first = since.astimezone(UTC).replace(second=0, microsecond=0)
    first = first if by_minute else first.replace(minute=0)
    values: dict[str, Any] = {"app_id": app_id, "key_ids": list(key_ids), "since": since, "now": now}
    values |= {"by_minute": by_minute, "first_starts": first}
    values["first_ends"] = first + (timedelta(minutes=1) if by_minute else timedelta(hours=1))
    with connection.cursor() as cursor:
        cursor.execute(sql("calls_of_secrets"), values)
        return {key_id: SecretCalls(*found) for key_id, *found in cursor.fetchall()}
