"""Lines of CSV (RFC 4180) in which no cell can be taken for a formula."""

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime

_OPENS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # also in full width
_LEFT_OUT = "\"' "  # by some spreadsheets, before they look


def line(cells: Iterable[object]) -> str:
    """Return one line; moments stand in UTC, lists as words, nothing as an empty cell.

    A text that a spreadsheet would calculate gets a leading apostrophe (OWASP, CSV injection).
    """
    target = io.StringIO()
    csv.writer(target).writerow([_cell(value) for value in cells])
    return target.getvalue()


def moment(value: datetime) -> str:
    """Return a moment as RFC 3339 in UTC, with milliseconds."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return moment(value)
    text = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"'{text}" if text.lstrip(_LEFT_OUT).startswith(_OPENS_A_FORMULA) else text
