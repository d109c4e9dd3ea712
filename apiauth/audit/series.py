"""Numbers for charts and totals, read from counts alone, never from decisions.

Counts are by the hour, so a range means every hour that overlaps it. Those by the minute reach
two days back; the paths of one key are counted by the UTC day.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import DateTimeField, F, Func, IntegerField, Q, Sum, Value

from apiauth.audit.statements import sql
from apiauth.audit.steps import LONGEST, Step, edges
from apiauth.core.scope import Reach
from apiauth.models import Key
from apiauth.models.audit import (
    AppMinuteRollup,
    AppRollup,
    CountsQuerySet,
    DecisionRollup,
    KeyPathRollup,
    KeyUsage,
    MinuteRollup,
    PathRollup,
    RollupQuerySet,
)


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
class KeyCount:
    """How often one key was presented."""

    key_id: int
    allowed: int
    blocked: int

    @property
    def total(self) -> int:
        """Return how many checks there were."""
        return self.allowed + self.blocked


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


_Counted = Iterable[tuple[datetime, int, int]]
_ALLOWED = Sum("count", filter=Q(rule=""), default=0)
_BLOCKED = Sum("count", filter=~Q(rule=""), default=0)


def totals(
    *, app_id: int, key_id: int | None = None, within: Reach | None = None, start: datetime, end: datetime
) -> Totals:
    """Return how many checks of an app, or of one of its keys, were allowed and blocked."""
    counts = _counts(app_id, key_id, within, start, end).aggregate(allowed=_ALLOWED, blocked=_BLOCKED)
    return Totals(counts["allowed"], counts["blocked"])


def totals_of_keys(*, app_id: int, key_ids: Collection[int], start: datetime, end: datetime) -> Totals:
    """Return how many checks of some keys of an app were allowed and blocked, all of them together, to the minute."""
    counts = MinuteRollup.objects.in_app(app_id).between(start, end).of_keys(key_ids)
    return Totals(**counts.aggregate(allowed=Sum("allowed", default=0), blocked=Sum("blocked", default=0)))


def timeline(
    *,
    app_id: int,
    key_id: int | None = None,
    within: Reach | None = None,
    start: datetime,
    end: datetime,
    step: Step = "hour",
    zone: tzinfo = UTC,
) -> list[Point]:
    """Return the counts step by step, the oldest first; a step without checks is there too.

    Days, weeks and months are those of `zone`; an hour of UTC counts where it begins. A range that
    is longer than the step can show loses its beginning.
    """
    start = max(start, end - LONGEST[step])
    if end <= start:
        return []
    moments = edges(start, end, step, zone)
    if step == "minute":
        rows = _by_minute(app_id, key_id, within, start, end)
    elif step == "hour":
        rows = _by_hour(_counts(app_id, key_id, within, start, end))
    else:
        rows = _by_days(_counts(app_id, key_id, within, start, end), moments)
    found = {moment: Point(moment, allowed, blocked) for moment, allowed, blocked in rows}
    return [found.get(moment, Point(moment)) for moment in moments[:-1]]


def steps_and_rules(
    *, app_id: int, within: Reach | None = None, start: datetime, end: datetime, length: timedelta
) -> list[tuple[datetime, str, int]]:
    """Return how often each rule blocked, the empty one being that a check was allowed, by steps of a length.

    The first step begins at `start`, which is a whole hour; a step without checks is missing.
    """
    if not _is_whole(within):
        step = Func(Value(length), F("hour"), Value(start), function="date_bin", output_field=DateTimeField())
        counts = _counts(app_id, None, within, start, end).annotate(step=step).values("step", "rule")
        return list(counts.annotate(total=Sum("count")).values_list("step", "rule", "total"))
    where: dict[str, Any] = {"app_id": app_id, "start": start, "end": end, "length": length}
    with connection.cursor() as cursor:
        cursor.execute(sql("steps_and_rules_of_app"), where)
        [(found,)] = cursor.fetchall()
    return [(datetime.fromtimestamp(seconds, UTC), rule, count) for seconds, rule, count in found]


def hours_and_minutes_of_key(
    *, app_id: int, key_id: int, hours_from: datetime, minutes_from: datetime, end: datetime
) -> tuple[list[Point], list[Point]]:
    """Return one key's counts by the hour and by the minute, asked for at once; a step without checks is missing."""
    where: dict[str, datetime | int] = {
        "app_id": app_id,
        "key_id": key_id,
        "hours_from": hours_from,
        "minutes_from": minutes_from,
        "end": end,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql("hours_and_minutes_of_key"), where)
        hours, minutes = cursor.fetchall()[0]
    return _points(hours), _points(minutes)


def _points(counts: list[tuple[int, int, int]]) -> list[Point]:
    return [Point(datetime.fromtimestamp(seconds, UTC), allowed, blocked) for seconds, allowed, blocked in counts]


def _by_minute(app_id: int, key_id: int | None, within: Reach | None, start: datetime, end: datetime) -> _Counted:
    if key_id is None and _is_whole(within):
        return AppMinuteRollup.objects.in_app(app_id).between(start, end).values_list("minute", "allowed", "blocked")
    rows = MinuteRollup.objects.in_app(app_id).between(start, end).of_key(key_id).within(within).values("minute")
    found: _Counted = rows.annotate(yes=Sum("allowed"), no=Sum("blocked")).values_list("minute", "yes", "no")
    return found


def _by_hour(counts: RollupQuerySet) -> _Counted:
    found: _Counted = counts.values("hour").annotate(yes=_ALLOWED, no=_BLOCKED).values_list("hour", "yes", "no")
    return found


def _by_days(counts: RollupQuerySet, moments: list[datetime]) -> _Counted:
    """Return the counts by the step that an hour begins in; the edges are ours, whatever zones the database knows."""
    known = Value(moments, output_field=ArrayField(DateTimeField()))
    step = Func(F("hour"), known, function="width_bucket", output_field=IntegerField())
    rows = counts.annotate(step=step).values("step").annotate(yes=_ALLOWED, no=_BLOCKED)
    sums: dict[int, tuple[int, int]] = {}
    for index, yes, no in rows.values_list("step", "yes", "no"):
        first = max(index - 1, 0)  # an hour that begins before the first step, in a zone with half hours
        before = sums.get(first, (0, 0))
        sums[first] = (before[0] + yes, before[1] + no)
    return [(moments[index], yes, no) for index, (yes, no) in sums.items()]


def blocked_reasons(
    *,
    app_id: int,
    key_id: int | None = None,
    within: Reach | None = None,
    start: datetime,
    end: datetime,
    limit: int | None = 50,
) -> list[Reason]:
    """Return what blocked, the most frequent first; with the limit None all of it."""
    rows = (
        _counts(app_id, key_id, within, start, end)
        .exclude(rule="")
        .values_list("rule", "blocked_by")
        .annotate(total=Sum("count"))
        .order_by("-total", "rule", "blocked_by")[:limit]
    )
    return [Reason(*row) for row in rows]


def top_keys(
    *, app_id: int, within: Reach | None = None, start: datetime, end: datetime, limit: int = 10
) -> list[KeyCount]:
    """Return the known keys that were presented most, whatever came of it."""
    if not _is_whole(within):
        return _top_keys_within(app_id, within, start, end, limit)
    first = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    day_begins = first.replace(hour=0)
    where: dict[str, datetime | int] = {
        "app_id": app_id,
        "start": first,
        "end": end,
        "first_day": day_begins if day_begins == first else day_begins + timedelta(days=1),
        "last_day": end.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0),
        "most": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql("top_keys"), where)
        return [KeyCount(*row) for row in cursor.fetchall()]


def _top_keys_within(app_id: int, within: Reach | None, start: datetime, end: datetime, limit: int) -> list[KeyCount]:
    rows = DecisionRollup.objects.in_app(app_id).within(within).between(start, end).values("key_id")
    counted = rows.annotate(yes=_ALLOWED, no=_BLOCKED, every=Sum("count")).order_by("-every", "key_id")
    return [KeyCount(*row) for row in counted.values_list("key_id", "yes", "no")[:limit]]


def top_paths(
    *,
    app_id: int,
    key_id: int | None = None,
    within: Reach | None = None,
    start: datetime,
    end: datetime,
    limit: int = 10,
) -> list[PathCount]:
    """Return the most frequent methods and paths; those of one key are of all UTC days that overlap the range."""
    counts: CountsQuerySet
    if key_id is None and _is_whole(within):
        counts = PathRollup.objects.in_app(app_id).between(start, end)
    else:
        counts = KeyPathRollup.objects.in_app(app_id).of_key(key_id).within(within).between(start, end)
    rows = (
        counts.values("path")
        .annotate(
            yes=Sum("count", filter=Q(allowed=True), default=0),
            no=Sum("count", filter=Q(allowed=False), default=0),
            total=Sum("count"),
        )
        .order_by("-total", "path")
        .values_list("path", "yes", "no")[:limit]
    )
    return [PathCount(*row) for row in rows]


def keys_used(*, app_id: int, within: Reach | None = None, since: datetime) -> int:
    """Return how many keys were presented since a moment, whatever came of it."""
    used = KeyUsage.objects.filter(app_id=app_id, last_used_at__gte=since)
    if within is not None and not within.is_whole_app:
        used = used.filter(key_id__in=Key.objects.within(within).values("pk"))
    return used.count()


def _counts(app_id: int, key_id: int | None, within: Reach | None, start: datetime, end: datetime) -> RollupQuerySet:
    """Return the hourly counts of a key; without one those of the app as a whole, which are far fewer rows."""
    is_app = key_id is None and _is_whole(within)
    rows: RollupQuerySet = (AppRollup if is_app else DecisionRollup).objects.in_app(app_id)
    return rows.between(start, end).of_key(key_id).within(within)


def _is_whole(within: Reach | None) -> bool:
    return within is None or within.is_whole_app
