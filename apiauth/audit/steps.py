"""The steps of a timeline: minutes and hours of UTC; days, weeks and months of a time zone."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Literal

Step = Literal["minute", "hour", "day", "week", "month"]

# How far back a timeline of each step reaches at most: about as many points as a chart can show.
LONGEST: dict[Step, timedelta] = {
    "minute": timedelta(days=1),
    "hour": timedelta(days=90),
    "day": timedelta(days=731),
    "week": timedelta(days=3653),
    "month": timedelta(days=18_263),
}


def edges(start: datetime, end: datetime, step: Step, zone: tzinfo = UTC) -> list[datetime]:
    """Return where the steps that overlap a range begin, and at last where the range's last step ends.

    All are in UTC and each is later than the one before, also where a zone skips a day.
    """
    if end <= start:
        return []
    first = start.astimezone(UTC).replace(second=0, microsecond=0)
    if step in ("minute", "hour"):
        return _even(first if step == "minute" else first.replace(minute=0), end, step)
    day = _first_day(start.astimezone(zone).date(), step)
    found = [_midnight(day, zone)]
    while found[-1] < end:
        day = _next_day(day, step)
        moment = _midnight(day, zone)
        if moment > found[-1]:
            found.append(moment)
    return found


def _even(first: datetime, end: datetime, step: Step) -> list[datetime]:
    length = timedelta(minutes=1) if step == "minute" else timedelta(hours=1)
    count = -((first - end) // length)
    return [first + index * length for index in range(count + 1)]


def _midnight(day: date, zone: tzinfo) -> datetime:
    """Return a day's first moment; where the clock jumps over midnight, that of the jump."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def _first_day(day: date, step: Step) -> date:
    if step == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if step == "month" else day


def _next_day(day: date, step: Step) -> date:
    if step == "month":
        return (day + timedelta(days=32)).replace(day=1)
    return day + (timedelta(weeks=1) if step == "week" else timedelta(days=1))
