"""Reads flags, numbers and moments out of the texts of a query or a form."""

import re
from datetime import UTC, datetime

from apiauth.core.errors import Invalid

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)
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
    if not _WHOLE.fullmatch(text):
        raise Invalid(f"{field} must be a whole number.", field=field)
    return min(max(int(text), least), most)


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
