"""Reads what stands in the address: filters, cursors and ranges. Anything odd becomes a default or a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from apiauth.core import ids
from apiauth.core.errors import Invalid
from portal import lineages


@dataclass(frozen=True, slots=True)
class Range:
    """A span of time up to now that a page can show, and the step of its bars in hours."""

    name: str
    label: str
    length: timedelta
    step_hours: int

    def start(self, now: datetime) -> datetime:
        """Return where the span begins: on a whole hour, or on a whole day where its bars are days."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        if self.step_hours == 1:
            return hour - self.length + timedelta(hours=1)
        return hour.replace(hour=0) - self.length + timedelta(days=1)


RANGES = {
    "24h": Range("24h", "24 hours", timedelta(hours=24), 1),
    "7d": Range("7d", "7 days", timedelta(days=7), 6),
    "30d": Range("30d", "30 days", timedelta(days=30), 24),
}


def chosen_range(query: Mapping[str, str], default: str = "7d") -> Range:
    """Return the range that an address names."""
    return RANGES.get(query.get("range", ""), RANGES[default])


def visible(text: str, most: int = 100) -> str:
    """Return a text without the characters that cannot be shown or stored, cut to a length."""
    return "".join(character for character in text.strip() if character.isprintable())[:most]


def key_filter(query: Mapping[str, str]) -> tuple[str, str, int | None]:
    """Return status, search text and cursor of the key list as `lineages.page` takes them."""
    status = query.get("status", "")
    known = status if status in lineages.FILTERS else "all"
    return known, visible(query.get("q", "")), ids.parse_id(query.get("after", ""))


def moment(form: Mapping[str, str], name: str) -> datetime:
    """Return a moment as a page of ours has written it into its form. Raises Invalid for any other text."""
    try:
        value = datetime.fromisoformat(form.get(name, ""))
    except ValueError:
        value = None
    if value is None or value.tzinfo is None:
        raise Invalid("Open the page again and choose a time there.", field=name)
    return value
