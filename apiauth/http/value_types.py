"""What a field of a body or a query must be, as the API's description tells it.

Only told, never checked here: whether a value will do is the business of the services, whose
bounds these types repeat from the same constants.
"""

from collections.abc import Collection
from typing import Annotated, Any

from pydantic import WithJsonSchema

from apiauth.core.decision import METHODS, Rule
from apiauth.core.key_limits import KEY_MODES, MOST_KEY_RULES
from apiauth.core.limits import (
    LONGEST,
    LONGEST_ENDPOINT,
    MOST_ENDPOINTS,
    MOST_REQUESTS,
    MOST_RULES,
    Mode,
    Unit,
)
from apiauth.core.metadata import RESERVED
from apiauth.core.permissions import MOST_PERMISSIONS, PERMISSION_PATTERN
from apiauth.core.roles import Role
from apiauth.http.policy_schema import policy_schema
from apiauth.models.fields import PREFIX, SLUG
from apiauth.services.apps import LONGEST_OVERLAP_SECONDS
from apiauth.services.catalogue import MOST_PRESETS
from apiauth.services.exports import Form
from apiauth.services.impact import Deed
from apiauth.services.key_values import MOST_ADDRESSES

_EMPTY = {"const": ""}  # of a query: the same as nothing


def whole_number(least: int, most: int, **more: Any) -> WithJsonSchema:
    """Return what tells that a whole number lies within bounds."""
    return WithJsonSchema({"type": "integer", "minimum": least, "maximum": most, **more})


def clamped_number(least: int, most: int, *, default: int) -> WithJsonSchema:
    """Return what tells that a whole number is moved into bounds, so that no number is out of them."""
    return WithJsonSchema({"anyOf": [{"type": "integer"}, _EMPTY], "default": default, "x-clamped": [least, most]})


def rule_list(least: int, most: int, modes: Collection[Mode], *, mode: Mode) -> dict[str, Any]:
    """Return what tells that rules of rate limits are listed; `mode` is that of one which names none."""
    return {
        "type": "array",
        "minItems": least,
        "maxItems": most,
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": ["unit", "duration", "max_requests"],
            "properties": {
                "id": {"type": ["string", "null"], "minLength": 1, "maxLength": 64, "pattern": "^[ -~]+$"},
                "unit": {"type": "string", "enum": list(Unit)},
                "duration": {"type": "integer", "minimum": 1, "maximum": max(LONGEST.values())},
                "max_requests": {"type": "integer", "minimum": 1, "maximum": MOST_REQUESTS},
                "mode": {"type": ["string", "null"], "enum": [*modes, None], "default": mode},
                "endpoints": {
                    "type": ["array", "null"],
                    "minItems": 1,
                    "maxItems": MOST_ENDPOINTS,
                    "items": {"type": "string", "maxLength": LONGEST_ENDPOINT, "pattern": r"^(\*$|/)"},
                },
                "priority": {"type": ["integer", "null"], "minimum": -1000, "maximum": 1000, "default": 0},
            },
        },
    }


Slug = Annotated[str, WithJsonSchema({"type": "string", "pattern": SLUG})]
KeyPrefix = Annotated[str, WithJsonSchema({"type": "string", "pattern": PREFIX})]
Name = Annotated[str, WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 100})]
ShortText = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 200})]
Note = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 500})]
Description = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 2000})]
Email = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 254})]
Challenge = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^([A-Za-z0-9_-]{43})?$"})]
Locale = Annotated[
    str, WithJsonSchema({"type": "string", "maxLength": 35, "pattern": "^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4})?$"})
]
Link = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 2000})]
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
DeedName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(Deed)})]
FormName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(Form)})]
OutcomeName = Annotated[str, WithJsonSchema({"type": "string", "enum": ["allowed", "blocked"]})]
RoleName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(Role)})]
OwnerId = Annotated[str | int, WithJsonSchema({"type": ["string", "integer"], "minLength": 1, "maxLength": 200})]
Overlap = Annotated[int, whole_number(0, LONGEST_OVERLAP_SECONDS)]
Permissions = Annotated[
    list[str],
    WithJsonSchema(
        {
            "type": "array",
            "maxItems": MOST_PERMISSIONS,
            "items": {"type": "string", "pattern": f"^{PERMISSION_PATTERN}$"},
        }
    ),
]
PermissionDetails = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MOST_PERMISSIONS,
            "propertyNames": {"pattern": f"^{PERMISSION_PATTERN}$"},
            "additionalProperties": {
                "type": "object",
                "properties": {
                    "description": {"type": "string", "maxLength": 200},
                    "group": {"type": "string", "maxLength": 60},
                },
                "additionalProperties": False,
            },
        }
    ),
]
PermissionPresets = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MOST_PRESETS,
            "propertyNames": {"minLength": 1, "maxLength": 60},
            "additionalProperties": {
                "type": "array",
                "maxItems": MOST_PERMISSIONS,
                "items": {"type": "string", "pattern": f"^{PERMISSION_PATTERN}$"},
            },
        }
    ),
]
Resources = Annotated[
    list[str],
    WithJsonSchema({"type": "array", "maxItems": 200, "items": {"type": "string", "minLength": 1, "maxLength": 200}}),
]
AddressRanges = Annotated[
    list[str], WithJsonSchema({"type": "array", "maxItems": MOST_ADDRESSES, "items": {"type": "string"}})
]
Metadata = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"minLength": 1, "maxLength": 100, "not": {"enum": sorted(RESERVED)}},
            "additionalProperties": True,
        }
    ),
]
PolicyDocument = Annotated[dict[str, Any], WithJsonSchema(policy_schema())]
Rules = Annotated[list[Any], WithJsonSchema(rule_list(1, MOST_RULES, Mode, mode=Mode.PER_APP))]
_KEY_RULES = rule_list(0, MOST_KEY_RULES, KEY_MODES, mode=Mode.PER_KEY)
KeyRules = Annotated[list[Any], WithJsonSchema(_KEY_RULES)]

# A query and a form hold texts; these tell what the texts are read as.
KeyRulesText = Annotated[
    str,
    WithJsonSchema({"type": "string", "contentMediaType": "application/json", "contentSchema": _KEY_RULES}),
]
FlagText = Annotated[str, WithJsonSchema({"anyOf": [{"type": "boolean"}, _EMPTY], "default": False})]
IdText = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^[0-9]{0,19}$"})]
DateText = Annotated[
    str, WithJsonSchema({"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}, _EMPTY]})
]
RuleText = Annotated[str, WithJsonSchema({"type": "string", "enum": [*Rule, ""]})]
MethodText = Annotated[str, WithJsonSchema({"type": "string", "enum": [*sorted(METHODS), ""]})]
PathText = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 500, "pattern": "^(/[!-~]*)?$"})]
AddressText = Annotated[str, WithJsonSchema({"type": "string", "examples": ["203.0.113.9", "2001:db8::1"]})]
RequestIdText = Annotated[str, WithJsonSchema({"type": "string", "pattern": "^(req_0[0-5][0-9a-f]{30})?$"})]
ZoneText = Annotated[str, WithJsonSchema({"type": "string", "examples": ["Europe/Vienna"]})]
