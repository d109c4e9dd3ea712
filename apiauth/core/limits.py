"""Rate limits as values: what a rule may say, which window a moment falls into, how a rule is written.

Windows are fixed: they begin at multiples of their length since the Unix epoch, calendar
units at midnight UTC, so that every process and host counts in the same window.
"""

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeVar

from apiauth.core.errors import Invalid
from apiauth.core.resource import normal_form

Choice = TypeVar("Choice", bound=StrEnum)


class Unit(StrEnum):
    """What the duration of a limit counts."""

    MILLISECOND = "millisecond"
    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    CALENDAR_DAY = "calendar_day"
    MONTH = "month"
    CALENDAR_MONTH = "calendar_month"


class Mode(StrEnum):
    """Who shares one count."""

    PER_APP = "per_app"
    PER_KEY = "per_key"
    PER_IP = "per_ip"
    PER_APP_AND_IP = "per_app_and_ip"
    PER_KEY_AND_IP = "per_key_and_ip"


DAY_MS = 86_400_000
NOMINAL_MONTH_MS = 30 * DAY_MS  # only for the rule's text: the window itself is the calendar's month
UNIT_MS = {
    Unit.MILLISECOND: 1,
    Unit.SECOND: 1_000,
    Unit.MINUTE: 60_000,
    Unit.HOUR: 3_600_000,
    Unit.DAY: DAY_MS,
    Unit.CALENDAR_DAY: DAY_MS,
    Unit.MONTH: NOMINAL_MONTH_MS,
    Unit.CALENDAR_MONTH: NOMINAL_MONTH_MS,
}
LONGEST = {
    Unit.MILLISECOND: 60_000,
    Unit.SECOND: 1_800,
    Unit.MINUTE: 1_440,
    Unit.HOUR: 720,
    Unit.DAY: 30,
    Unit.CALENDAR_DAY: 1,
    Unit.MONTH: 1,
    Unit.CALENDAR_MONTH: 1,
}
MONTHS = frozenset({Unit.MONTH, Unit.CALENDAR_MONTH})
MOST_REQUESTS = 2_147_483_647
MOST_RULES = 20
MOST_ENDPOINTS = 50
LONGEST_ENDPOINT = 512
_FIELDS = frozenset({"id", "unit", "duration", "max_requests", "mode", "endpoints", "priority"})


@dataclass(frozen=True)
class LimitRule:
    """At most `max_requests` in a window of `duration` units, counted per `mode`.

    `id` is the limit's identity: two rules with the same window never share a count.
    """

    id: str
    unit: Unit
    duration: int
    max_requests: int
    mode: Mode = Mode.PER_APP
    endpoints: tuple[str, ...] | None = None
    priority: int = 0
    shares_text: bool = False
    """Another rule of the same scheme has the same number and window."""

    def __hash__(self) -> int:
        """Return the hash of the id: equal rules have one id, and the fields together take 2 µs to hash."""
        return hash(self.id)

    @cached_property
    def length_ms(self) -> int:
        """Return the window's length in milliseconds; a month's is nominal."""
        return UNIT_MS[self.unit] * self.duration

    @cached_property
    def window(self) -> str:
        """Return the window as the wire writes it: `60s`, or `500ms` where it is no whole second."""
        seconds, rest = divmod(self.length_ms, 1000)
        return f"{self.length_ms}ms" if rest else f"{seconds}s"

    @cached_property
    def text(self) -> str:
        """Return the rule as the wire writes it: `60/60s`."""
        return f"{self.max_requests}/{self.window}"

    @cached_property
    def name(self) -> str:
        """Return the rule's name among those of its scheme: its text, with its id where that says too little."""
        return f"{self.text} {self.id}" if self.shares_text else self.text

    def covers(self, path: str) -> bool:
        """Tell whether the rule counts requests for this path (in its normal form)."""
        return self.endpoints is None or path in self.endpoints or "*" in self.endpoints

    def window_at(self, now_ms: int) -> tuple[int, int]:
        """Return the first millisecond of the window that holds `now_ms`, and the first one after it."""
        length = self._fixed_length_ms
        if length is None:
            return _month_at(now_ms)
        start = now_ms - now_ms % length
        return start, start + length

    def window_start(self, now_ms: int) -> int:
        """Return the first millisecond of the window that holds `now_ms`."""
        length = self._fixed_length_ms
        return _month_at(now_ms)[0] if length is None else now_ms - now_ms % length

    @cached_property
    def _fixed_length_ms(self) -> int | None:
        return None if self.unit in MONTHS else self.length_ms

    def seconds_left(self, now_ms: int) -> int:
        """Return the whole seconds until the window that holds `now_ms` ends, rounded up."""
        length = self._fixed_length_ms
        if length is None:
            return retry_after_seconds(_month_at(now_ms)[1], now_ms)
        return -((now_ms % length - length) // 1000)

    @property
    def grid(self) -> tuple[bool, int]:
        """Return what two rules have in common whose windows begin and end together."""
        return self.unit in MONTHS, self.length_ms

    def as_json(self) -> dict[str, Any]:
        """Return the rule as it is stored."""
        return {
            "id": self.id,
            "unit": self.unit.value,
            "duration": self.duration,
            "max_requests": self.max_requests,
            "mode": self.mode.value,
            "endpoints": list(self.endpoints) if self.endpoints is not None else None,
            "priority": self.priority,
        }


BUILT_IN = LimitRule(id="built-in", unit=Unit.MINUTE, duration=1, max_requests=1000)
"""What holds for an app without a scheme."""


def retry_after_seconds(end_ms: int, now_ms: int) -> int:
    """Return the whole seconds until a window's end, rounded up and at least one."""
    return max(1, -((now_ms - end_ms) // 1000))


def parse_rules(value: object, *, known: Sequence[LimitRule] = ()) -> tuple[LimitRule, ...]:
    """Return the rules that a caller sent, in the order of evaluation.

    A rule without an `id` gets that of a `known` one which it is again (`with_known_ids`), else a fresh one.
    Raises Invalid with the field, such as `rules[0].duration`.
    """
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise Invalid("`rules` must be a list of rules.", field="rules")
    if not 1 <= len(value) <= MOST_RULES:
        raise Invalid(f"`rules` must hold 1 to {MOST_RULES} rules.", field="rules")
    rules = [parse_rule(entry, f"rules[{index}]") for index, entry in enumerate(value)]
    rules = with_known_ids(rules, value, known)
    refuse_shared_ids(rules, "rules")
    return in_order(rules)


def load_rules(stored: Sequence[Mapping[str, Any]]) -> tuple[LimitRule, ...]:
    """Return rules as they stand in the database, in the order of evaluation."""
    return in_order([parse_rule(entry, f"rules[{index}]") for index, entry in enumerate(stored)])


def in_order(rules: Sequence[LimitRule]) -> tuple[LimitRule, ...]:
    """Return rules by priority, the lower first; equal ones keep their places. Each learns what it shares."""
    texts = Counter(rule.text for rule in rules)
    ordered = sorted(rules, key=lambda rule: rule.priority)
    return tuple(replace(rule, shares_text=True) if texts[rule.text] > 1 else rule for rule in ordered)


def parse_rule(entry: object, field: str, *, mode: Mode = Mode.PER_APP) -> LimitRule:
    """Return one rule; `mode` is that of a rule which names none. Raises Invalid with the field, within `field`."""
    if not isinstance(entry, Mapping):
        raise Invalid("A rule must be an object.", field=field)
    unknown = sorted(str(name) for name in entry if name not in _FIELDS)
    if unknown:
        raise Invalid("A rule has unit, duration, max_requests, mode, endpoints and priority.", field=field)
    unit = _parse_choice(Unit, entry.get("unit"), f"{field}.unit")
    return LimitRule(
        id=_parse_id(entry.get("id"), f"{field}.id"),
        unit=unit,
        duration=_parse_number(entry.get("duration"), 1, LONGEST[unit], f"{field}.duration"),
        max_requests=_parse_number(entry.get("max_requests"), 1, MOST_REQUESTS, f"{field}.max_requests"),
        mode=_parse_choice(Mode, _or_default(entry.get("mode"), mode), f"{field}.mode"),
        endpoints=_parse_endpoints(entry.get("endpoints"), f"{field}.endpoints"),
        priority=_parse_number(_or_default(entry.get("priority"), 0), -1000, 1000, f"{field}.priority"),
    )


def with_known_ids(
    rules: Sequence[LimitRule], sent: Sequence[Mapping[str, Any]], known: Sequence[LimitRule]
) -> list[LimitRule]:
    """Return rules with the ids of `known` ones that come again, so that their windows go on.

    A rule that was `sent` with an id keeps that. Another one is a known limit again where it counts the same
    calls of the same callers in the same windows, whatever its number; the one that is equal in all comes first.
    """
    found = list(rules)
    unnamed = [index for index, entry in enumerate(sent) if entry.get("id") is None]
    taken = {rule.id for index, rule in enumerate(rules) if index not in unnamed}
    rest = [rule for rule in known if rule.id not in taken]
    for likeness in (_all_of, _counted_by):
        for index in tuple(unnamed):
            again = next((each for each in rest if likeness(each) == likeness(found[index])), None)
            if again is not None:
                found[index] = replace(found[index], id=again.id)
                rest.remove(again)
                unnamed.remove(index)
    return found


def _all_of(rule: LimitRule) -> tuple[object, ...]:
    return *_counted_by(rule), rule.max_requests, rule.priority


def _counted_by(rule: LimitRule) -> tuple[object, ...]:
    endpoints = None if rule.endpoints is None else frozenset(rule.endpoints)
    return rule.grid, rule.mode, endpoints


def refuse_shared_ids(rules: Sequence[LimitRule], field: str) -> None:
    """Raise Invalid where two rules of a list have one id: they would share a count."""
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        if rule.id in seen:
            raise Invalid("Two rules have the same id.", field=f"{field}[{index}].id")
        seen.add(rule.id)


def _month_at(now_ms: int) -> tuple[int, int]:
    moment = datetime.fromtimestamp(now_ms / 1000, UTC)
    start = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    end = datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=UTC)
    return int(start.timestamp()) * 1000, int(end.timestamp()) * 1000


def _or_default(value: object, default: object) -> object:
    return default if value is None else value


def _parse_id(value: object, field: str) -> str:
    if value is None:
        return secrets.token_hex(8)
    if not (isinstance(value, str) and 1 <= len(value) <= 64 and value.isascii() and value.isprintable()):
        raise Invalid("A rule's id is 1 to 64 printable ASCII characters.", field=field)
    return value


def _parse_choice(kind: type[Choice], value: object, field: str) -> Choice:
    try:
        return kind(str(value))
    except ValueError:
        raise Invalid(f"Must be one of {', '.join(kind)}.", field=field) from None


def _parse_number(value: object, least: int, most: int, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Invalid(f"Must be a whole number from {least} to {most}.", field=field)
    return value


def _parse_endpoints(value: object, field: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise Invalid("Must be a list of paths.", field=field)
    if not 1 <= len(value) <= MOST_ENDPOINTS:
        raise Invalid(f"Must hold 1 to {MOST_ENDPOINTS} paths; leave it out for all paths.", field=field)
    return tuple(_parse_endpoint(path, f"{field}[{index}]") for index, path in enumerate(value))


def _parse_endpoint(path: object, field: str) -> str:
    if path == "*":
        return "*"
    if not isinstance(path, str) or not path.startswith("/") or len(path) > LONGEST_ENDPOINT:
        raise Invalid(f"Must be `*` or a path of at most {LONGEST_ENDPOINT} characters.", field=field)
    try:
        return normal_form(path)
    except Invalid as problem:
        raise Invalid(problem.message, field=field) from None
