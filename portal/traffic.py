"""The requests chart: what happened, in bars, in words and as a table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apiauth.audit import series
from apiauth.core.scope import Reach
from portal import charts, times
from portal.inputs import Range

WIDTH, HIGH, LOW = 280, 168, 56
Count = tuple[datetime, str, int]
"""Where a bar begins, the rule that blocked, which is empty for what was allowed, and how often."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, and what it stands for in words."""

    rect: charts.Rect
    label: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One of the two lanes, on its own scale."""

    bars: list[Bar]
    grid: list[str]
    ticks: list[str]
    title: str
    total: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table beside the chart."""

    label: str
    allowed: int
    blocked: int


@dataclass(frozen=True, slots=True)
class _Bucket:
    """What happened in the time of one bar: that time and its day in words, and the counts."""

    label: str
    day: str
    allowed: int
    blocked: int


@dataclass(frozen=True, slots=True)
class Chart:
    """The whole figure."""

    step: str
    span: str
    allowed: Lane
    blocked: Lane
    axis: list[str]
    lines: list[Line]

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing at all happened."""
        return not (self.allowed.total or self.blocked.total)

    @property
    def blocked_share(self) -> str:
        """Return the blocked requests as a share of all, as it is written."""
        every = self.allowed.total + self.blocked.total
        return f"{100 * self.blocked.total / every:.2f}%" if every else "0%"


def counts(reach: Reach, span: Range, now: datetime) -> list[Count]:
    """Return how often each rule blocked calls with a session's keys in each bar of a range up to now."""
    length = timedelta(hours=span.step_hours)
    return series.steps_and_rules(app_id=reach.app_id, within=reach, start=span.start(now), end=now, length=length)


def points(counts: Iterable[Count]) -> list[series.Point]:
    """Return the counts by rule as what a chart is drawn of."""
    return [series.Point(start, 0 if rule else count, count if rule else 0) for start, rule, count in counts]


def drawn(points: list[series.Point], span: Range, now: datetime) -> Chart:
    """Return the chart of counts over a range up to now; those may be by a shorter step than its bars."""
    start = span.start(now)
    buckets = _buckets(points, start, span, now)
    labels = [bucket.label for bucket in buckets]
    return Chart(
        step={1: "Every hour, UTC", 6: "Every 6 hours, UTC", 24: "Every day, UTC"}[span.step_hours],
        span=f"{times.day(start)} to {times.day(now)}",
        allowed=_lane("Allowed", labels, [bucket.allowed for bucket in buckets], HIGH, 4),
        blocked=_lane("Blocked", labels, [bucket.blocked for bucket in buckets], LOW, 2),
        axis=_axis(start, span),
        lines=_lines(buckets, span),
    )


def _buckets(points: Iterable[series.Point], start: datetime, span: Range, now: datetime) -> list[_Bucket]:
    step = timedelta(hours=span.step_hours)
    whole_days = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    end = whole_days if span.step_hours > 1 else now
    count = -((start - end) // step)
    sums = [[0, 0] for _ in range(count)]
    for point in points:
        index = (point.start - start) // step
        if 0 <= index < count:
            sums[index][0] += point.allowed
            sums[index][1] += point.blocked
    return [_bucket(start + index * step, span, *both) for index, both in enumerate(sums)]


def _bucket(moment: datetime, span: Range, allowed: int, blocked: int) -> _Bucket:
    day = f"{moment:%a} {moment.day} {moment:%b}"
    if span.step_hours == 24:
        return _Bucket(day, day, allowed, blocked)
    end = moment + timedelta(hours=span.step_hours)
    return _Bucket(f"{day}, {moment:%H:%M} to {end:%H:%M} UTC", day, allowed, blocked)


def _lane(name: str, labels: Sequence[str], numbers: Sequence[int], height: int, parts: int) -> Lane:
    top = charts.scale_top(numbers)
    rects = charts.bars(numbers, top=top, width=WIDTH, height=height)
    return Lane(
        bars=[
            Bar(rect, f"{label}: {number:,}")
            for rect, label, number in zip(rects, labels, numbers, strict=True)
            if number
        ],
        grid=charts.grid(parts, height),
        ticks=charts.ticks(top, parts),
        title=_finding(name, labels, numbers),
        total=sum(numbers),
    )


def _finding(name: str, labels: Sequence[str], numbers: Sequence[int]) -> str:
    most = max(numbers)
    if most == 0:
        return f"{name} requests: none in this period."
    label = labels[numbers.index(most)]
    return f"{name} requests: highest {most:,}, {label}. Figures are in the table below."


def _axis(start: datetime, span: Range) -> list[str]:
    if span.step_hours == 1:
        return [f"{start + timedelta(hours=hours):%H:%M}" for hours in range(0, 24, 4)]
    days = span.length.days
    step = 1 if days == 7 else 5
    moments = [start + timedelta(days=day) for day in range(0, days, step)]
    return [f"{moment:%a} {moment.day}" if step == 1 else f"{moment.day} {moment:%b}" for moment in moments]


def _lines(buckets: Sequence[_Bucket], span: Range) -> list[Line]:
    """Return the table: by hour for a day, by day for longer ranges."""
    if span.step_hours == 1:
        return [Line(bucket.label, bucket.allowed, bucket.blocked) for bucket in buckets]
    per_day: dict[str, list[int]] = {}
    for bucket in buckets:
        sums = per_day.setdefault(bucket.day, [0, 0])
        sums[0] += bucket.allowed
        sums[1] += bucket.blocked
    return [Line(day, allowed, blocked) for day, (allowed, blocked) in per_day.items()]
