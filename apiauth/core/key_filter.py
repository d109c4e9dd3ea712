"""Which keys staff mean, by what they have in common: for revoking many of them at once."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from apiauth.core.errors import Invalid
from apiauth.core.networks import client_range
from apiauth.core.redaction import without_secrets

MOST_NAMED = 10_000
_NAMED = re.compile(r"[0-9]{1,19}|(?:[a-z][a-z0-9_]{0,30}[a-z0-9]_?…)?[0-9A-Za-z]{4}")
Text = Annotated[str, Meta(min_length=1, max_length=200)]
Moment = Annotated[datetime, Meta(tz=True)]


class KeyFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Keys that have all of this; what is left out does not matter.

    `keys` names them one by one: by their ids, or by their last four characters (with the prefix and
    an ellipsis before, as pages show them, where the copier took that along).
    """

    deployment_id: int | None = None
    app_id: int | None = None
    key_prefix: Text | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None
    user_id: Text | None = None
    created_by: Text | None = None
    permission: Text | None = None
    last_used_from: Text | None = None
    keys: Annotated[tuple[str, ...], Meta(max_length=MOST_NAMED)] = ()

    def document(self) -> dict[str, Any]:
        """Return what is set, as JSON values."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        return document

    def named(self) -> tuple[list[int], list[str]]:
        """Return the ids and the last four characters among `keys`; four digits alone are an ending."""
        ids = [int(text) for text in self.keys if len(text) > 4 and text.isdecimal()]
        return ids, [text[-4:] for text in self.keys if not (len(text) > 4 and text.isdecimal())]


def read_filter(values: Mapping[str, Any]) -> KeyFilter:
    """Return the filter that JSON values describe. Raises Invalid that names the field.

    It has to set something, so that nobody ends every key of an installation by leaving all fields empty.
    """
    given = {name: value for name, value in values.items() if value not in (None, "", (), [])}
    if not given:
        raise Invalid("Say which keys: set at least one field.")
    if any(without_secrets(str(text)) != str(text) for text in given.get("keys", ())):
        raise Invalid("Name keys by their ids or last four characters, never by their secrets.", field="keys")
    try:
        found = msgspec.convert(given, KeyFilter)
    except msgspec.ValidationError as problem:
        place = re.search(r"`\$\.(\w+)", str(problem))
        raise Invalid(f"The filter can't be read: {problem}.", field=place[1] if place else None) from None
    if found.last_used_from is not None:
        addresses = client_range(found.last_used_from, field="last_used_from")
        found = msgspec.structs.replace(found, last_used_from=addresses)
    for text in found.keys:
        if not _NAMED.fullmatch(text) or (text.isdecimal() and int(text) >= 2**63):
            raise Invalid(f"{text[:40]!r} is neither an id nor the last four characters of a key.", field="keys")
    return found


def day(text: str) -> datetime:
    """Return a moment out of a day or a moment as people write it, in UTC where it names no zone. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
