"""How far a key has used the limits that hold for it.

The counters live in the memory of the gateways' hosts, so what stands here is what a gateway said
of them when it last decided about the key, with the moment at which it did, and the highest count
of the last day as the minutes on record tell it. Where neither a decision that was looked at names
a limit nor all of its window was looked at, nobody can say that nothing was used.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apiauth.audit.calls import KeyCall
from apiauth.audit.series import Point
from apiauth.core import clock, limit_words
from apiauth.core.key_limits import load_key_rules
from apiauth.core.limits import DAY_MS, LimitRule, Mode
from apiauth.models import App, Key
from apiauth.models.audit import KeyUsage

LOOKED_BACK = timedelta(days=1)
LOOKED_AT = 200  # decisions in which the limits are looked for
_MINUTE_MS = 60_000
_MILLISECOND = timedelta(milliseconds=1)
_EVER = datetime.min.replace(tzinfo=UTC)
NEARLY_FULL = 80
_SHARED = "Another limit has the same number and window, and a call does not say which of them it counted in."
_NOT_ALL_SEEN = "None of its newest calls counted, but not all calls of this window were looked at."


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest decisions about a key."""

    rows: Sequence[KeyCall]
    since: datetime
    """From which moment on they are all that there are."""

    def rows_since(self, start: datetime, most: int) -> list[KeyCall]:
        """Return at most so many that were made from `start` on."""
        return [row for row in self.rows[:most] if row.decided_at >= start]


@dataclass(frozen=True, slots=True)
class Peak:
    """The window of the last day in which a key was let through most."""

    calls: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Use:
    """One limit: its words, what was used of it when a gateway last said, and the most of the last day."""

    line: limit_words.LimitLine
    most: int
    used: int | None
    unknown: str
    """Why nobody can say whether any of it is used; empty where `used` says it, or where none is."""
    as_of: datetime | None
    resets_at: datetime | None
    peak: Peak | None

    @property
    def share(self) -> int:
        """Return how much of the limit is used, in percent."""
        return min(100, 100 * (self.used or 0) // self.most)

    @property
    def is_near(self) -> bool:
        """Tell whether the window ends within a day, so that a time of day says when."""
        return self.as_of is not None and self.resets_at is not None and self.resets_at - self.as_of < LOOKED_BACK

    @property
    def is_nearly_full(self) -> bool:
        """Tell whether little is left."""
        return self.share >= NEARLY_FULL


def rules_of(app: App, key: Key) -> tuple[LimitRule, ...]:
    """Return the limits in force for a key: those of its app, then its own."""
    return (*app.limits, *load_key_rules(key.limits, app.limits))


def looked_from(rules: Iterable[LimitRule], start: datetime, now: datetime) -> datetime:
    """Return from where on decisions name what is used today: the first window of all, or an earlier `start`."""
    return min([start, *(clock.from_ms(rule.window_start(clock.to_ms(now))) for rule in rules)])


def newest(key: Key, rows: Sequence[KeyCall], start: datetime, *, has_more: bool) -> Newest:
    """Return a key's newest decisions. From `start` on they are kept; older ones may be forgotten."""
    since = start
    if has_more:
        since = max(start, rows[-1].decided_at + _MILLISECOND)  # others may share its moment
    elif not rows:
        since = _since_last_use(key)
    return Newest(rows, _EVER if since <= key.created_at else since)


def of_key(rules: Iterable[LimitRule], decisions: Newest, minutes: Sequence[Point], now: datetime) -> list[Use]:
    """Return each limit with a key's use of it, by the newest decisions about it and its minutes of a day."""
    listed = list(rules)
    texts = Counter(rule.text for rule in listed)
    return [_use(rule, texts[rule.text] > 1, decisions, minutes, now) for rule in listed]


def _use(rule: LimitRule, is_shared: bool, decisions: Newest, minutes: Iterable[Point], now: datetime) -> Use:
    # A decision tells limits apart by their texts alone.
    said = None if is_shared else _last_said(rule, decisions.rows)
    start, end = rule.window_at(clock.to_ms(now))
    is_current = said is not None and clock.to_ms(said[1]) >= start
    return Use(
        line=limit_words.line(rule),
        most=rule.max_requests,
        used=said[0] if said and is_current else None,
        unknown=_unknown(is_shared, said is not None or decisions.since <= clock.from_ms(start)),
        as_of=said[1] if said and is_current else None,
        resets_at=clock.from_ms(end) if is_current else None,
        peak=_peak(rule, minutes) if _is_by_the_minute(rule) else None,
    )


def _last_said(rule: LimitRule, newest: Iterable[KeyCall]) -> tuple[int, datetime] | None:
    """Return how much of a rule was used after the newest decision that names it, and when that was."""
    for row in newest:
        for state in row.rate_limits:
            if state["rule"] == rule.text:
                return state["limit"] - state["remaining"], row.decided_at
    return None


def _since_last_use(key: Key) -> datetime:
    """Return from when on a key was not called, which stands on record for longer than its decisions."""
    usage: KeyUsage | None = getattr(key, "usage", None)
    return usage.last_used_at + _MILLISECOND if usage else _EVER


def _unknown(is_shared: bool, is_looked_through: bool) -> str:
    if is_shared:
        return _SHARED
    return "" if is_looked_through else _NOT_ALL_SEEN


def _is_by_the_minute(rule: LimitRule) -> bool:
    """Tell whether the minutes on record are what the rule counts: one key, every path, whole minutes up to a day."""
    length = rule.length_ms
    return rule.mode is Mode.PER_KEY and rule.covers("") and length % _MINUTE_MS == 0 and length <= DAY_MS


def _peak(rule: LimitRule, minutes: Iterable[Point]) -> Peak | None:
    windows: Counter[int] = Counter()
    for minute in minutes:
        windows[rule.window_at(clock.to_ms(minute.start))[0]] += minute.allowed
    return next((Peak(calls, clock.from_ms(start)) for start, calls in windows.most_common(1) if calls), None)
