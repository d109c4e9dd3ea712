"""Limits as people read them, on pages and in refusals: `60 per minute, per key`."""

from collections.abc import Sequence
from dataclasses import dataclass

from apiauth.core.limits import LimitRule, Mode, Unit

_MODES = {
    Mode.PER_APP: "over all keys together",
    Mode.PER_KEY: "per key",
    Mode.PER_IP: "per address",
    Mode.PER_APP_AND_IP: "per address",
    Mode.PER_KEY_AND_IP: "per key and address",
}
_UNITS = {
    Unit.MILLISECOND: ("millisecond", "milliseconds"),
    Unit.SECOND: ("second", "seconds"),
    Unit.MINUTE: ("minute", "minutes"),
    Unit.HOUR: ("hour", "hours"),
    Unit.DAY: ("day", "days"),
    Unit.CALENDAR_DAY: ("calendar day (UTC)", "calendar days (UTC)"),
    Unit.MONTH: ("month", "months"),
    Unit.CALENDAR_MONTH: ("calendar month (UTC)", "calendar months (UTC)"),
}


@dataclass(frozen=True, slots=True)
class LimitLine:
    """One limit: how much, for whom, and on which paths where not on all."""

    words: str
    paths: Sequence[str]
    code: str


def words(rule: LimitRule) -> str:
    """Return how much a limit allows, and to whom, in words."""
    one, many = _UNITS[rule.unit]
    window = one if rule.duration == 1 else f"{rule.duration} {many}"
    return f"{rule.max_requests:,} per {window}, {_MODES[rule.mode]}"


def unit_name(unit: Unit) -> str:
    """Return what one of a unit is called."""
    return _UNITS[unit][0]


def in_one_line(rule: LimitRule) -> str:
    """Return one limit in words, with its paths where it has some."""
    found = line(rule)
    return f"{found.words}, for {', '.join(found.paths)}" if found.paths else found.words


def line(rule: LimitRule) -> LimitLine:
    """Return one limit in words, with its paths apart."""
    every = rule.endpoints is None or "*" in rule.endpoints
    return LimitLine(
        words=words(rule),
        paths=() if every or rule.endpoints is None else rule.endpoints,
        code=rule.text,
    )
