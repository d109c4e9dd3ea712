"""Numbers for charts and totals, read from counts alone, never from decisions.

Counts are by the hour, so a range means every hour that overlaps it; those by the minute
reach two days back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from django.db.models import Count, Q, Sum
from django.db.models.functions import Trunc

from apiauth.models.audit import DecisionRollup, MinuteRollup, PathRollup, RollupQuerySet

Step = Literal["minute", "hour", "day", "week", "month"]
MOST_POINTS = 2_300  # 90 days by the hour, and some


@dataclass(frozen=True, slots=True)
class Totals:
    """How many checks were allowed, and how many were blocked."""

    allowed: int = 0
    blocked: int = 0

    @property
    def total(self) -> int:
        """Return how many checks there were."""
        return self.allowed + self.blocked


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a timeline: its first moment, and its counts."""

    start: datetime
    allowed: int = 0
    blocked: int = 0


@dataclass(frozen=True, slots=True)
class Reason:
    """How often one rule blocked; `blocked_by` tells limits apart."""

    rule: str
    blocked_by: str
    count: int


@dataclass(frozen=True, slots=True)
class PathCount:
    """How often one method and path was checked."""

    path: str
    allowed: int
    blocked: int

    @property
    def total(self) -> int:
        """Return how many checks there were."""
        return self.allowed + self.blocked


_LENGTHS: dict[Step, timedelta] = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=31),  # at most
}
_Counted = tuple[datetime, int, int]
_ALLOWED = Sum("count", filter=Q(rule=""), default=0)
_BLOCKED = Sum("count", filter=~Q(rule=""), default=0)


def totals(*, app_id: int, key_id: int | None = None, start: datetime, end: datetime) -> Totals:
    """Return how many checks of an app, or of one of its keys, were allowed and blocked."""
    counts = _counts(app_id, key_id, start, end).aggregate(allowed=_ALLOWED, blocked=_BLOCKED)
    return Totals(counts["allowed"], counts["blocked"])


def timeline(
    *, app_id: int, key_id: int | None = None, start: datetime, end: datetime, step: Step = "hour"
) -> list[Point]:
    """Return the counts step by step in UTC, the oldest first; a step without checks is there too."""
    by_step = _by_minute if step == "minute" else _by_hours
    rows = by_step(app_id, key_id, start, end, step)
    found = {moment: Point(moment, allowed, blocked) for moment, allowed, blocked in rows}
    return [found.get(moment, Point(moment)) for moment in steps(start, end, step)]


def _by_minute(app_id: int, key_id: int | None, start: datetime, end: datetime, step: Step) -> Iterable[_Counted]:
    rows = MinuteRollup.objects.in_app(app_id).between(start, end).of_key(key_id).values("minute")
    found: Iterable[_Counted] = rows.annotate(yes=Sum("allowed"), no=Sum("blocked")).values_list("minute", "yes", "no")
    return found


def _by_hours(app_id: int, key_id: int | None, start: datetime, end: datetime, step: Step) -> Iterable[_Counted]:
    rows = _counts(app_id, key_id, start, end).annotate(step=Trunc("hour", step, tzinfo=UTC)).values("step")
    found: Iterable[_Counted] = rows.annotate(yes=_ALLOWED, no=_BLOCKED).values_list("step", "yes", "no")
    return found


def blocked_reasons(
    *, app_id: int, key_id: int | None = None, start: datetime, end: datetime, limit: int = 50
) -> list[Reason]:
    """Return what blocked, the most frequent first."""
    rows = (
        _counts(app_id, key_id, start, end)
        .exclude(rule="")
        .values_list("rule", "blocked_by")
        .annotate(total=Sum("count"))
        .order_by("-total", "rule", "blocked_by")[:limit]
    )
    return [Reason(*row) for row in rows]


def per_key(*, app_id: int, start: datetime, end: datetime) -> dict[int, Totals]:
    """Return the totals of each key that was presented; 0 stands for keys that were not known."""
    rows = (
        _counts(app_id, None, start, end)
        .values("key_id")
        .annotate(allowed=_ALLOWED, blocked=_BLOCKED)
        .values_list("key_id", "allowed", "blocked")
    )
    return {key_id: Totals(allowed, blocked) for key_id, allowed, blocked in rows}


def top_paths(
    *, app_id: int, key_id: int | None = None, start: datetime, end: datetime, limit: int = 10
) -> list[PathCount]:
    """Return the most frequent methods and paths."""
    rows = (
        PathRollup.objects.in_app(app_id)
        .between(start, end)
        .of_key(key_id)
        .values("path")
        .annotate(
            yes=Sum("count", filter=Q(allowed=True), default=0),
            no=Sum("count", filter=Q(allowed=False), default=0),
            total=Sum("count"),
        )
        .order_by("-total", "path")
        .values_list("path", "yes", "no")[:limit]
    )
    return [PathCount(*row) for row in rows]


def keys_used(*, app_id: int, start: datetime, end: datetime) -> int:
    """Return how many different keys were presented, whatever came of it."""
    rows = _counts(app_id, None, start, end).exclude(key_id=0)
    found: dict[str, Any] = rows.aggregate(keys=Count("key_id", distinct=True))
    return int(found["keys"])


def steps(start: datetime, end: datetime, step: Step) -> list[datetime]:
    """Return the first moments of the steps that overlap the range, in UTC; of more than MOST_POINTS, the last."""
    moment = _first_of(max(start, end - MOST_POINTS * _LENGTHS[step]).astimezone(UTC), step)
    moments: list[datetime] = []
    while moment < end:
        moments.append(moment)
        moment = _next_of(moment, step)
    return moments


def _first_of(moment: datetime, step: Step) -> datetime:
    if step == "minute":
        return moment.replace(second=0, microsecond=0)
    hour = moment.replace(minute=0, second=0, microsecond=0)
    if step == "hour":
        return hour
    day = hour.replace(hour=0)
    if step == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if step == "month" else day


def _next_of(moment: datetime, step: Step) -> datetime:
    if step == "month":
        return (moment + timedelta(days=32)).replace(day=1)
    return moment + _LENGTHS[step]


def _counts(app_id: int, key_id: int | None, start: datetime, end: datetime) -> RollupQuerySet:
    rows: RollupQuerySet = DecisionRollup.objects.in_app(app_id)
    return rows.between(start, end).of_key(key_id)
