"""JSON Schemas out of the wire's types: named, tidied, and each field with its words."""

import json
import re
from typing import Any, get_origin

from pydantic import BaseModel, TypeAdapter

from apiauth.http.openapi.words import FIELDS
from apiauth.http.wire import EnvelopeJson

Schema = dict[str, Any]
REFERENCE = "#/components/schemas/{model}"


class Schemas:
    """Collects the named schemas of one document."""

    def __init__(self) -> None:
        self.named: dict[str, Schema] = {}

    def of(self, shape: Any) -> Schema:
        """Return the schema of an answer or a form: a reference, but for an envelope, which is written out."""
        schema = TypeAdapter(shape).json_schema(ref_template=REFERENCE, mode=_mode(shape))
        self.add(schema.pop("$defs", {}))
        if get_origin(shape) is EnvelopeJson:
            wrapped: Schema = tidy(schema, "Envelope")
            return wrapped
        self.add({shape.__name__: schema})
        return {"$ref": REFERENCE.format(model=_plain(shape.__name__))}

    def add(self, definitions: dict[str, Schema]) -> None:
        """Add named schemas, under the names that readers see."""
        for name, schema in definitions.items():
            tidied = tidy(schema, _plain(name))
            if self.named.setdefault(_plain(name), tidied) != tidied:
                raise ValueError(f"two shapes want to be called {_plain(name)}")

    def reached_from(self, paths: dict[str, Any], *names: str) -> dict[str, Schema]:
        """Return the named schemas that the paths refer to, and these, by name."""
        reached: dict[str, Schema] = {}
        waiting = [*_references(paths), *names]
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached[name] = self.named[name]
                waiting.extend(_references(self.named[name]))
        return dict(sorted(reached.items()))


def _references(part: Any) -> list[str]:
    return re.findall(r'"#/components/schemas/(\w+)"', json.dumps(part))


def _mode(shape: Any) -> Any:
    return "validation" if isinstance(shape, type) and issubclass(shape, BaseModel) else "serialization"


def _plain(name: str) -> str:
    return name.removesuffix("Json").lstrip("_")


def tidy(schema: Any, name: str = "") -> Any:
    """Return a schema without what pydantic adds for itself, with null as a type, and with its fields' words."""
    if isinstance(schema, list):
        return [tidy(entry, name) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key != "title" and not (key == "default" and value is None)}
    if "$ref" in kept:
        kept["$ref"] = "/".join([*kept["$ref"].split("/")[:-1], _plain(kept["$ref"].split("/")[-1])])
    kept = _with_null_as_a_type(kept)
    return {
        key: _fields(value, name) if key == "properties" else value if key in _VALUES else tidy(value, name)
        for key, value in kept.items()
    }


_VALUES = ("default", "enum", "const", "examples", "required")


def _fields(properties: dict[str, Schema], name: str) -> dict[str, Schema]:
    return {field: _told(tidy(schema, f"{name}.{field}"), name, field) for field, schema in properties.items()}


def _told(schema: Schema, name: str, field: str) -> Schema:
    words = FIELDS.get(f"{name}.{field}", FIELDS.get(field))
    return {**schema, "description": words} if words else schema


def _with_null_as_a_type(schema: Schema) -> Schema:
    """Return `{"type": [X, "null"]}` for "X or null", which is how people read it."""
    choices = schema.get("anyOf", [])
    others = [choice for choice in choices if choice != {"type": "null"}]
    if len(choices) != 2 or len(others) != 1 or "type" not in others[0]:
        return schema
    only = others[0]
    types = only["type"] if isinstance(only["type"], list) else [only["type"]]
    merged = {**{key: value for key, value in schema.items() if key != "anyOf"}, **only, "type": [*types, "null"]}
    for key in ("enum", "const"):
        if key in merged:
            merged.pop(key)
            merged["enum"] = [*(only["enum"] if "enum" in only else [only["const"]]), None]
    return merged
