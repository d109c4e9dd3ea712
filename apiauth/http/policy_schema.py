"""What the document of a policy may hold, as the API's description tells it: read off the types that check it."""

from typing import Any

import msgspec

from apiauth.core.policy import Policy
from apiauth.core.policy_words import MEANINGS
from apiauth.core.roles import PRESETS

Schema = dict[str, Any]


def policy_schema() -> Schema:
    """Return the JSON Schema of a policy in one piece; its authority may be the name of a preset."""
    (whole,), parts = msgspec.json.schema_components([Policy], ref_template="{name}")
    schema: Schema = _in_one_piece(whole, parts)
    for name, part in schema["properties"].items():
        part["description"] = MEANINGS[name]
        for field, told in part["properties"].items():
            told["description"] = MEANINGS[f"{name}.{field}"]
    authority = schema["properties"]["authority"]
    names = {"type": "string", "enum": list(PRESETS)}
    schema["properties"]["authority"] = {"description": authority.pop("description"), "anyOf": [names, authority]}
    return schema


def _in_one_piece(part: Any, parts: dict[str, Schema]) -> Any:
    if isinstance(part, list):
        return [_in_one_piece(entry, parts) for entry in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _in_one_piece(parts[part["$ref"]], parts)
    # What the types say of themselves is for readers of the code; a part's defaults stand at its fields.
    left_out = {"title", "description", "required"} | ({"default"} if isinstance(part.get("default"), dict) else set())
    return {name: _in_one_piece(value, parts) for name, value in part.items() if name not in left_out}
