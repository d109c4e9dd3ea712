"""What a change to a key would break: its own recent calls, decided once more as if it were made."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

from apiauth.audit.calls import Call, recent_calls
from apiauth.core import clock
from apiauth.models import Key
from apiauth.verify.replay import Impact, Proposal, replay

MOST_CALLS = 100_000
WINDOWS = (timedelta(days=7), timedelta(days=1), timedelta(hours=1))
LONGEST_QUERY_MS = 700


@dataclass(frozen=True, slots=True)
class Preview:
    """What would have been blocked from `start` to `end`; of a busy key that is less than the whole week."""

    impact: Impact
    start: datetime
    end: datetime

    @property
    def last_at(self) -> datetime | None:
        """Return when the last call was made that would have been blocked."""
        return clock.from_ms(self.impact.last_ms) if self.impact.last_ms is not None else None


def preview(*, key: Key, proposal: Proposal, now: datetime) -> Preview | None:
    """Return what a proposal would have done to a key's last 100,000 calls of the last seven days.

    None where even an hour of calls cannot be read in time: then nobody knows. What the gateways
    decided in the last second or two may not be on record yet.
    """
    for window in WINDOWS:
        calls = _within_time(key, now - window, now)
        if calls is not None:
            start = clock.from_ms(calls[-1][0]) if len(calls) == MOST_CALLS else now - window
            return Preview(replay(calls, proposal), start, now)
    return None


def _within_time(key: Key, start: datetime, end: datetime) -> list[Call] | None:
    """Return a key's calls, or None where reading them took too long."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout')")
            [before] = cursor.fetchone()
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [str(LONGEST_QUERY_MS)])
            calls = recent_calls(app_id=key.app_id, key_id=key.pk, start=start, end=end, most=MOST_CALLS)
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [before])
            return calls
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        return None
