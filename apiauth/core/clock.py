"""The one place that reads the wall clock; everything else is told what time it is."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the present moment in UTC, with microseconds."""
    return datetime.now(UTC)


def now_ms() -> int:
    """Return the present moment in whole milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def to_ms(moment: datetime) -> int:
    """Return an aware datetime in whole milliseconds since the Unix epoch, rounded down."""
    return int(moment.timestamp() * 1000)


def from_ms(milliseconds: int) -> datetime:
    """Return the UTC datetime of a Unix time in milliseconds."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
