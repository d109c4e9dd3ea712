"""The rules that the documents tell in words, because no JSON Schema can: values that break one are replaced.

Each field has the product's own check, and a value that passes it. Only values are touched that the
schema already lets through, so what is generated to be refused stays as it is.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from apiauth.core.errors import Invalid
from apiauth.core.ids import parse_id
from apiauth.core.key_limits import parse_key_rules
from apiauth.core.limits import BUILT_IN, parse_rules
from apiauth.core.metadata import check_metadata
from apiauth.core.policy import read_policy
from apiauth.http.strict_json import parse_object
from apiauth.http.values import moment, whole
from apiauth.services import catalogue, key_values
from apiauth.services.text import plain_text, web_address

Check = Callable[[Any], object]


def line(value: str) -> object:
    """One line that can be shown."""
    return plain_text(value, field="text", most=10_000, required=False)


def visible_line(value: str) -> object:
    """One line with something visible in it."""
    return plain_text(value, field="text", most=10_000)


def link(value: str) -> object:
    if value and (line(value) != value or web_address(value) is None):
        raise Invalid
    return value


def end_to_come(value: str) -> object:
    return key_values.expiry(moment(value, "expires_at"), datetime.now(UTC))


def date(value: str) -> datetime:
    return moment(value, "date", zone_required=False)


def known_id(value: str) -> object:
    if parse_id(value) is None:
        raise Invalid
    return value


def number(value: object) -> object:
    return whole(str(value), "number")


def owner_id(value: object) -> object:
    """A line, or a number that 64 bits hold."""
    if not is_readable(value):
        raise Invalid
    return visible_line(str(value))


def never(value: object) -> object:
    """What only an earlier answer can tell."""
    raise Invalid


def is_readable(value: Any) -> bool:
    """Tell whether 64 bits hold its numbers, and the like: of fields, too, that are ignored."""
    try:
        parse_object(json.dumps({"": value}).encode())
    except Invalid:
        return False
    return True


def own_limits(values: list[Any]) -> object:
    """A key's own limits, of an app without a scheme."""
    return parse_key_rules(values, app_rules=(BUILT_IN,))


def policy(value: Any) -> object:
    """One whose `enforced_from` is left to `policy_applies_at`."""
    read = read_policy(value)
    if read.rotation.enforced_from is not None:
        raise Invalid
    return read


SPOKEN: Mapping[str, tuple[Check, Any]] = {
    "name": (visible_line, "A name"),
    "description": (line, "A description"),
    "note": (line, "A note"),
    "reason": (line, "A reason"),
    "email": (line, "dana@example.com"),
    "user_id": (owner_id, "user_42"),
    "resources": (never, []),  # a key's are among its app's
    "return_url": (never, ""),
    "test_url": (link, ""),
    "docs_url": (link, ""),
    "metadata": (check_metadata, {"team": "blue"}),
    "expires_at": (end_to_come, "2090-01-01T00:00:00Z"),
    "policy": (policy, {}),
    "overlap_ends_at": (end_to_come, "2090-01-01T00:00:00Z"),
    "allowed_cidrs": (key_values.addresses, ["203.0.113.0/24"]),
    "permission_details": (catalogue.checked_details, {}),
    "permission_presets": (catalogue.checked_presets, {}),
    "rules": (parse_rules, [{"unit": "minute", "duration": 1, "max_requests": 60}]),
    "limits": (own_limits, [{"unit": "minute", "duration": 1, "max_requests": 60}]),
    "start_date": (date, "2031-04-05"),
    "end_date": (date, "2090-04-05"),
    "key_id": (known_id, "1"),
    "limit": (number, 10),
    "offset": (number, 10),
    "top_limit": (number, 10),
    "status": (never, "all"),
}
DROPPED = (
    "organization_id",
    "workspace_id",
    "cursor",
    "cursor_ts",
    "cursor_id",
    "tz",
    "client_ip",
    "policy_applies_at",
)  # need others beside them, or a form that no schema says


def keeping(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with those replaced that break a rule told in words."""
    kept = {
        name: _kept(name, value)
        for name, value in fields.items()
        if name not in DROPPED and (name in SPOKEN or is_readable(value))
    }
    if kept.get("start_date"):  # a range has an order, and a file covers 90 days of it at most
        kept["end_date"] = kept["start_date"]
    if kept.get("user_id") is not None:  # a user's app takes its permissions from that user's roles
        kept.pop("permissions", None)
        kept.pop("resources", None)
    return kept


def _kept(name: str, value: Any) -> Any:
    if isinstance(value, dict) and name == "subject":
        return {"id": "user_42", **keeping({key: part for key, part in value.items() if key != "id"})}
    if value is None or name not in SPOKEN:
        return value
    check, replacement = SPOKEN[name]
    try:
        check(value)
    except (
        Invalid,
        TypeError,
        ValueError,
        AttributeError,
    ):  # a body that ignores a field of this name may have any type
        return replacement
    return value
