"""Points in time and spans as pages show them: in the words that staff read too, and in closer ones."""

from datetime import UTC, datetime

from apiauth.services.time_words import DAY, HOUR, MINUTE, NEAR, ago, behind, clock, day, in_full, span

__all__ = [
    "DAY",
    "HOUR",
    "MINUTE",
    "NEAR",
    "ago",
    "behind",
    "clock",
    "day",
    "exact",
    "in_full",
    "left",
    "seconds",
    "span",
]


def seconds(value: datetime) -> str:
    """Return a time of day to the second, such as `09:00:30 UTC`."""
    return f"{value.astimezone(UTC):%H:%M:%S} UTC"


def exact(value: datetime) -> str:
    """Return a date and time to the millisecond, as a decision is dated."""
    utc = value.astimezone(UTC)
    return f"{day(utc)}, {utc:%H:%M:%S}.{utc.microsecond // 1000:03d} UTC"


def left(value: datetime, now: datetime) -> str:
    """Return how long it is until a point in time, rounded up to whole days where it is days away."""
    rest = value - now
    if rest <= DAY:
        return span(rest)
    days = -(-rest // DAY)
    return f"{days} days"
