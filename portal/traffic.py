"""The requests chart: what happened, in bars, in words and as a table."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from apiauth.audit import series
from apiauth.audit.steps import Step
from apiauth.core.scope import Reach
from portal import charts, times
from portal.inputs import Range

WIDTH, HIGH, LOW = 280, 168, 56


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


def chart(reach: Reach, span: Range, now: datetime) -> Chart:
    """Return the chart of a session's keys over a range up to now."""
    step: Step = "day" if span.step_hours == 24 else "hour"
    points = series.timeline(app_id=reach.app_id, within=reach, start=span.start(now), end=now, step=step)
    return drawn(points, span, now)


def drawn(points: list[series.Point], span: Range, now: datetime) -> Chart:
    """Return the chart of counts over a range up to now; those may be by a shorter step than its bars."""
    start = span.start(now)
    buckets = _buckets(points, start, span, now)
    return Chart(
        step={1: "Every hour, UTC", 6: "Every 6 hours, UTC", 24: "Every day, UTC"}[span.step_hours],
        span=f"{times.day(start)} to {times.day(now)}",
        allowed=_lane("Allowed", [(moment, allowed) for moment, allowed, _ in buckets], span, HIGH, 4),
        blocked=_lane("Blocked", [(moment, blocked) for moment, _, blocked in buckets], span, LOW, 2),
        axis=_axis(start, span),
        lines=_lines(buckets, span),
    )


def _buckets(
    points: list[series.Point], start: datetime, span: Range, now: datetime
) -> list[tuple[datetime, int, int]]:
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
    return [(start + index * step, allowed, blocked) for index, (allowed, blocked) in enumerate(sums)]


def _lane(name: str, values: list[tuple[datetime, int]], span: Range, height: int, parts: int) -> Lane:
    numbers = [value for _, value in values]
    top = charts.scale_top(numbers)
    rects = charts.bars(numbers, top=top, width=WIDTH, height=height)
    return Lane(
        bars=[
            Bar(rect, f"{_slot(moment, span)}: {value:,}")
            for rect, (moment, value) in zip(rects, values, strict=True)
            if value
        ],
        grid=charts.grid(parts, height),
        ticks=charts.ticks(top, parts),
        title=_finding(name, values, span),
        total=sum(numbers),
    )


def _finding(name: str, values: list[tuple[datetime, int]], span: Range) -> str:
    moment, most = max(values, key=lambda pair: pair[1])
    if most == 0:
        return f"{name} requests: none in this period."
    return f"{name} requests: highest {most:,}, {_slot(moment, span)}. Figures are in the table below."


def _slot(moment: datetime, span: Range) -> str:
    day = f"{moment:%a} {moment.day} {moment:%b}"
    if span.step_hours == 24:
        return day
    end = moment + timedelta(hours=span.step_hours)
    return f"{day}, {moment:%H:%M} to {end:%H:%M} UTC"


def _axis(start: datetime, span: Range) -> list[str]:
    if span.step_hours == 1:
        return [f"{start + timedelta(hours=hours):%H:%M}" for hours in range(0, 24, 4)]
    days = span.length.days
    step = 1 if days == 7 else 5
    moments = [start + timedelta(days=day) for day in range(0, days, step)]
    return [f"{moment:%a} {moment.day}" if step == 1 else f"{moment.day} {moment:%b}" for moment in moments]


def _lines(buckets: list[tuple[datetime, int, int]], span: Range) -> list[Line]:
    """Return the table: by hour for a day, by day for longer ranges."""
    if span.step_hours == 1:
        return [Line(_slot(moment, span), allowed, blocked) for moment, allowed, blocked in buckets]
    per_day: dict[str, list[int]] = {}
    for moment, allowed, blocked in buckets:
        sums = per_day.setdefault(f"{moment:%a} {moment.day} {moment:%b}", [0, 0])
        sums[0] += allowed
        sums[1] += blocked
    return [Line(day, allowed, blocked) for day, (allowed, blocked) in per_day.items()]
