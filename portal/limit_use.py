"""How far a key has used the limits that hold for it.

The counters live in the memory of the gateways' hosts, so what stands here is what a gateway said
of them when it last decided about the key, with the moment at which it did, and the highest count
of the last day as the minutes on record tell it.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apiauth.audit.search import DecisionRow
from apiauth.audit.series import Point
from apiauth.core import clock, limit_words
from apiauth.core.key_limits import load_key_rules
from apiauth.core.limits import DAY_MS, LimitRule, Mode
from apiauth.models import App, Key

LOOKED_BACK = timedelta(days=1)
_MINUTE_MS = 60_000
NEARLY_FULL = 80


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


def of_key(app: App, key: Key, newest: Sequence[DecisionRow], minutes: Sequence[Point], now: datetime) -> list[Use]:
    """Return each limit in force with a key's use of it, by the newest decisions about it and its minutes of a day."""
    rules = (*app.limits, *load_key_rules(key.limits, app.limits))
    return [_use(rule, newest, minutes, now) for rule in rules]


def _use(rule: LimitRule, newest: Iterable[DecisionRow], minutes: Iterable[Point], now: datetime) -> Use:
    said = _last_said(rule, newest)
    start, end = rule.window_at(clock.to_ms(now))
    is_current = said is not None and clock.to_ms(said[1]) >= start
    return Use(
        line=limit_words.line(rule),
        most=rule.max_requests,
        used=said[0] if said and is_current else None,
        as_of=said[1] if said and is_current else None,
        resets_at=clock.from_ms(end) if is_current else None,
        peak=_peak(rule, minutes) if _is_by_the_minute(rule) else None,
    )


def _last_said(rule: LimitRule, newest: Iterable[DecisionRow]) -> tuple[int, datetime] | None:
    """Return how much of a rule was used after the newest decision that names it, and when that was."""
    if rule.shares_text:  # a decision does not say which of two it means
        return None
    for row in newest:
        for state in row.rate_limits:
            if state["rule"] == rule.text:
                return state["limit"] - state["remaining"], row.decided_at
    return None


def _is_by_the_minute(rule: LimitRule) -> bool:
    """Tell whether the minutes on record are what the rule counts: one key, every path, whole minutes up to a day."""
    length = rule.length_ms
    return rule.mode is Mode.PER_KEY and rule.covers("") and length % _MINUTE_MS == 0 and length <= DAY_MS


def _peak(rule: LimitRule, minutes: Iterable[Point]) -> Peak | None:
    windows: Counter[int] = Counter()
    for minute in minutes:
        windows[rule.window_at(clock.to_ms(minute.start))[0]] += minute.allowed
    return next((Peak(calls, clock.from_ms(start)) for start, calls in windows.most_common(1) if calls), None)
