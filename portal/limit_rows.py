"""The limits of one key as rows of a form: how many calls, in which time, counted for the key or by address.

A row is the key's limit of the same place; rows beyond those are new. What holds for some paths
alone is made through the API, so it has no row here: it is shown, and stays as it is.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django import forms

from apiauth.core import limit_words
from apiauth.core.key_limits import KEY_MODES, MOST_KEY_RULES, load_key_rules
from apiauth.core.limits import Mode, Unit
from apiauth.models import Key

NUMBERS: Final = ("max_requests", "duration")
CHOICES: Final = {
    "unit": {unit.value: limit_words.unit_name(unit) for unit in Unit},
    "mode": {Mode.PER_KEY.value: "for the key", Mode.PER_KEY_AND_IP.value: "for each address"},
}
_NAMES = (*NUMBERS, *CHOICES)
_NEW: Final = {"max_requests": "", "duration": "", "unit": Unit.MINUTE.value, "mode": KEY_MODES[0].value}
_OF_ENTRY = re.compile(r"limits\[(\d+)\]\.(\w+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Row:
    """One row as the page shows it; a choice is a value, its words, and whether it is chosen."""

    number: int
    max_requests: forms.BoundField
    duration: forms.BoundField
    unit: forms.BoundField
    mode: forms.BoundField

    @property
    def units(self) -> list[tuple[str, str, bool]]:
        """Return the units to choose from."""
        return _choices("unit", self.unit)

    @property
    def modes(self) -> list[tuple[str, str, bool]]:
        """Return who may share a count."""
        return _choices("mode", self.mode)

    @property
    def problems(self) -> list[tuple[str, str]]:
        """Return what is wrong with the row, as the name of the field and the sentence."""
        fields = (self.max_requests, self.duration, self.unit, self.mode)
        return [(field.name, str(field.errors[0])) for field in fields if field.errors]


class LimitRows:
    """The rows for the limits of one key."""

    def __init__(self, key: Key) -> None:
        """Take the key as it is."""
        self._stored: Sequence[Mapping[str, Any]] = key.limits
        self._places = [place for place, entry in enumerate(key.limits) if entry["endpoints"] is None]
        self._room = MOST_KEY_RULES - len(key.limits) + len(self._places)
        self._rows_sent: list[int | None] = []

    @property
    def names(self) -> list[str]:
        """Return the names of all fields, row by row."""
        return [_field(row, name) for row in range(self._room) for name in _NAMES]

    def fields(self) -> dict[str, forms.Field]:
        """Return the fields; what they may hold is for the service to say."""
        return {name: forms.CharField(required=False, max_length=20) for name in self.names}

    def initial(self) -> dict[str, str]:
        """Return the rows as they begin: what the key has, and empty ones."""
        entries = [self._stored[place] for place in self._places]
        entries += [_NEW] * (self._room - len(entries))
        return {_field(row, name): str(entry[name]) for row, entry in enumerate(entries) for name in _NAMES}

    def entries(self, sent: Mapping[str, Any], cleaned: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the limits that the rows come to, and those that have no row, in their order.

        A row without numbers is no limit; one that was not sent at all stays as it is.
        """
        rows = {place: row for row, place in enumerate(self._places)}
        slots = [(rows.get(place), entry) for place, entry in enumerate(self._stored)]
        slots += [(row, {}) for row in range(len(rows), self._room)]
        found = [(row, before if row is None else _entry(row, before, sent, cleaned)) for row, before in slots]
        self._rows_sent = [row for row, entry in found if entry]
        return [dict(entry) for _, entry in found if entry]

    def field_of(self, name: str) -> str | None:
        """Return the field that a service speaks of with a name such as `limits[0].duration`."""
        found = _OF_ENTRY.match(name)
        row = self._rows_sent[int(found[1])] if found else None
        return _field(row, found[2]) if found and row is not None and found[2] in _NAMES else None

    def shown(self, form: forms.Form) -> list[Row]:
        """Return the rows that are in use and an empty one, as far as there is room."""
        used = [row for row in range(self._room) if any(form[_field(row, name)].value() for name in NUMBERS)]
        count = min(self._room, max([len(self._places), *(row + 1 for row in used)]) + 1)
        return [Row(row + 1, *(form[_field(row, name)] for name in _NAMES)) for row in range(count)]


def are_sent(sent: Mapping[str, Any]) -> bool:
    """Tell whether a form speaks of limits."""
    return any(name.startswith("limits-") for name in sent)


def lines(key: Key, *, with_rows: bool) -> list[limit_words.LimitLine]:
    """Return the limits of a key in words: those without a row, or where there are no rows, all."""
    rules = load_key_rules(key.limits)
    return [limit_words.line(rule) for rule in rules if rule.endpoints is not None or not with_rows]


def _entry(
    row: int, before: Mapping[str, Any], sent: Mapping[str, Any], cleaned: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the limit that a row comes to; empty for none."""
    if not any(_field(row, name) in sent for name in NUMBERS):
        return before
    values = {name: cleaned.get(_field(row, name), "") for name in _NAMES}
    if not any(values[name] for name in NUMBERS):
        return {}
    return {**before, **values, **{name: _number(values[name]) for name in NUMBERS}}


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdecimal() else text


def _choices(name: str, field: forms.BoundField) -> list[tuple[str, str, bool]]:
    chosen = field.value() or field.initial  # a row that was not on the page sends nothing
    return [(value, label, value == chosen) for value, label in CHOICES[name].items()]


def _field(row: int, name: str) -> str:
    return f"limits-{row}-{name}"
