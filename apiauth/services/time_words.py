"""Points in time and spans as people read them, customers and staff: UTC, relative while they are near."""

from datetime import UTC, datetime, timedelta

from apiauth.audit import completeness

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NEAR = 2 * DAY


def day(value: datetime) -> str:
    """Return a date such as `26 Nov 2026`."""
    utc = value.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y}"


def clock(value: datetime) -> str:
    """Return a time of day such as `09:00 UTC`."""
    return f"{value.astimezone(UTC):%H:%M} UTC"


def in_full(value: datetime) -> str:
    """Return a date and time such as `26 Nov 2026, 09:00 UTC`."""
    return f"{day(value)}, {clock(value)}"


def span(length: timedelta) -> str:
    """Return a length of time in its largest whole unit: `3 days`, `19 h`, `34 min`, `5 s`."""
    if length >= DAY:
        days = length // DAY
        return f"{days} day{'' if days == 1 else 's'}"
    if length >= HOUR:
        return f"{length // HOUR} h"
    if length >= MINUTE:
        return f"{length // MINUTE} min"
    return f"{max(0, length // timedelta(seconds=1))} s"


def ago(value: datetime, now: datetime) -> str:
    """Return `34 min ago` for the last two days, else the date."""
    if not timedelta(0) <= now - value < NEAR:
        return day(value) if value < now else "just now"
    return f"{span(now - value)} ago"


def behind(complete_until: datetime, now: datetime) -> str:
    """Return how far behind the log is, as a sentence; an empty text where that is too little to matter."""
    length = completeness.behind(complete_until, now)
    return f"The log is {_in_words(length)} behind, so calls of that time are not in it yet." if length else ""


def _in_words(length: timedelta) -> str:
    return span(length) if length >= HOUR else f"{length // MINUTE} minute{'' if length < 2 * MINUTE else 's'}"
