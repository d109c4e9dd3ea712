"""What a key's metadata may hold: it is handed to the product's own code at every check."""

import json
import re
from collections.abc import Mapping
from typing import Any

from apiauth.core.errors import Invalid

MOST_BYTES = 8192
DEEPEST = 4
LARGEST_INTEGER = 2**53 - 1  # what a JavaScript client can read exactly

# Clients of the wire contract read these names out of metadata as facts about the caller;
# the last three would reach into the prototype of a JavaScript object.
RESERVED = frozenset(
    {
        "principal_type",
        "scopes",
        "granted_resource",
        "oauth_resource",
        "expires_at",
        "permissions_checked",
        "organization_permissions",
        "workspace_permissions",
        "__proto__",
        "constructor",
        "prototype",
    }
)
_FORBIDDEN = re.compile("[\x00\r\n\ud800-\udfff]")


def check_metadata(value: object, field: str = "metadata") -> None:
    """Return if a key may carry this metadata; raise Invalid with the reason if not."""
    if not isinstance(value, Mapping):
        raise Invalid("`metadata` must be an object.", field=field)
    _check_value(value, field, 1)
    if len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()) > MOST_BYTES:
        raise Invalid(f"`metadata` has more than {MOST_BYTES} bytes as JSON.", field=field)


def without_reserved(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata without the names that a client would take as fact, however they got in."""
    return {name: entry for name, entry in value.items() if name not in RESERVED}


def _check_value(value: object, field: str, depth: int) -> None:
    if isinstance(value, str):
        _check_text(value, field)
    elif isinstance(value, Mapping | list | tuple):
        if depth > DEEPEST:
            raise Invalid(f"`metadata` nests at most {DEEPEST} deep.", field=field)
        _check_entries(value, field, depth)
    else:
        _check_scalar(value, field)


def _check_entries(value: Mapping[Any, Any] | list[Any] | tuple[Any, ...], field: str, depth: int) -> None:
    if isinstance(value, Mapping):
        for name, entry in value.items():
            _check_name(name, field)
            _check_value(entry, f"{field}.{name}", depth + 1)
        return
    for index, entry in enumerate(value):
        _check_value(entry, f"{field}[{index}]", depth + 1)


def _check_name(name: object, field: str) -> None:
    if not isinstance(name, str) or not 1 <= len(name) <= 100:
        raise Invalid("A name in metadata has 1 to 100 characters.", field=field)
    _check_text(name, field)
    if name in RESERVED:
        raise Invalid(f"`{name}` is reserved: clients take it as fact.", field=f"{field}.{name}")


def _check_text(text: str, field: str) -> None:
    if _FORBIDDEN.search(text):
        raise Invalid("Text in metadata has no NUL, line break or lone surrogate.", field=field)


def _check_scalar(value: object, field: str) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            raise Invalid("A whole number in metadata must fit 53 bits.", field=field)
        return
    if not isinstance(value, float) or value != value or value in (float("inf"), float("-inf")):
        raise Invalid("Metadata holds only text, numbers, booleans, null, lists and objects.", field=field)
