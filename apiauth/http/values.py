"""Reads flags, numbers and moments out of the texts of a query or a form."""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from ipaddress import ip_address
from zoneinfo import ZoneInfo, available_timezones

from apiauth.core.errors import Invalid
from apiauth.services.keys import LONGEST_OVERLAP

_WHOLE = re.compile(r"-?[0-9]{1,100}")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)
_LONGEST_OVERLAP_SECONDS = int(LONGEST_OVERLAP.total_seconds())
_LONGEST_PATH_PREFIX = 500
_FLAGS = {"true": True, "1": True, "false": False, "0": False}


def flag(text: str | None, field: str) -> bool:
    """Return a flag, false where there is none. Raises Invalid."""
    if not text:
        return False
    if text.lower() not in _FLAGS:
        raise Invalid(f"{field} must be true or false.", field=field)
    return _FLAGS[text.lower()]


def clamped(text: str | None, field: str, *, default: int, least: int, most: int) -> int:
    """Return a whole number moved into its bounds. Raises Invalid for what is no number."""
    if not text:
        return default
    return min(max(whole(text, field), least), most)


def overlap(seconds: int | None) -> timedelta | None:
    """Return an overlap, None for the app's default; bounded before it becomes a timedelta. Raises Invalid."""
    if seconds is None:
        return None
    if not 0 <= seconds <= _LONGEST_OVERLAP_SECONDS:
        raise Invalid(f"overlap_seconds must be 0 to {_LONGEST_OVERLAP_SECONDS}.", field="overlap_seconds")
    return timedelta(seconds=seconds)


def whole(text: str, field: str) -> int:
    """Return a whole number. Raises Invalid for what is none."""
    if not _WHOLE.fullmatch(text):
        raise Invalid(f"{field} must be a whole number.", field=field)
    return int(text)


def moment(text: str, field: str, *, zone_required: bool = True) -> datetime:
    """Return an RFC 3339 moment; a date alone, or one without a zone, is UTC where that is let through.

    Raises Invalid.
    """
    try:
        if not _MOMENT.fullmatch(text):
            raise ValueError
        read = datetime.fromisoformat(text.upper())
        if read.tzinfo is None and not zone_required:
            read = read.replace(tzinfo=UTC)
        if read.tzinfo is None or not 1970 < read.year < 9999:  # room to count days on both sides
            raise ValueError
        return read.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(f"{field} must be a moment such as 2031-04-05T06:07:08Z.", field=field) from None


def zone(text: str | None, field: str) -> tzinfo:
    """Return a time zone by its name in the IANA database, UTC where none is named. Raises Invalid."""
    if not text:
        return UTC
    if text not in _zones():
        raise Invalid(f"{field} must be the name of a time zone, such as Europe/Vienna.", field=field)
    return ZoneInfo(text)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def address(text: str | None, field: str) -> str | None:
    """Return an IP address as it is recorded, None where there is none. Raises Invalid."""
    if not text:
        return None
    try:
        read = ip_address(text)
    except ValueError:
        read = None
    if read is None or "%" in text:
        raise Invalid(f"{field} must be an address such as 203.0.113.24.", field=field)
    return str(getattr(read, "ipv4_mapped", None) or read)


def path_prefix(text: str | None, field: str) -> str | None:
    """Return the beginning of a path, None where there is none. Raises Invalid."""
    if not text:
        return None
    if not text.startswith("/") or len(text) > _LONGEST_PATH_PREFIX or not text.isprintable():
        raise Invalid(f"{field} must begin with / and have at most {_LONGEST_PATH_PREFIX} characters.", field=field)
    return text
