"""A document as its page shows it: operations under headings, with tables, answers and examples."""

import json
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from apiauth.http.openapi.requests import example_request
from apiauth.http.openapi.snippets import LANGUAGES

Part = dict[str, Any]
DEEPEST = 4  # further fields than these nobody reads in a table


@dataclass(frozen=True, slots=True)
class Words:
    """A piece of a sentence; code stands between backticks in the document."""

    text: str
    is_code: bool


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, a header or a field: a row of a table."""

    name: str
    kind: str
    words: list[Words]
    is_required: bool = False
    fields: list["Field"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation says with one status."""

    status: str
    phrase: str
    words: list[Words]
    headers: list[Field]
    fields: list[Field]
    example: str

    @property
    def is_refusal(self) -> bool:
        """Tell whether nothing was done."""
        return self.status >= "400"


@dataclass(frozen=True, slots=True)
class Snippet:
    """An example in one language."""

    language: str
    key: str
    code: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address."""

    id: str
    method: str
    path: list[Words]
    summary: str
    paragraphs: list[list[Words]]
    parameters: list[Field]
    body_kind: str
    body_fields: list[Field]
    done: Answer
    refusals: list[Answer]
    snippets: list[Snippet]


@dataclass(frozen=True, slots=True)
class Heading:
    """Operations that belong together."""

    name: str
    key: str
    words: list[Words]
    operations: list[Operation]


class Reader:
    """Reads one document for its page."""

    def __init__(self, document: Part, *, base_url: str, cookie_name: str) -> None:
        self._document = document
        self._base_url = base_url
        self._cookie_name = cookie_name

    def introduction(self) -> list[list[Words]]:
        """Return the paragraphs above the operations."""
        return paragraphs(self._document["info"]["description"])

    def headings(self) -> list[Heading]:
        """Return the operations, grouped and in reading order."""
        operations: dict[str, list[Operation]] = {}
        for path, item in self._document["paths"].items():
            for method, operation in item.items():
                operations.setdefault(operation["tags"][0], []).append(self._operation(path, method, operation))
        return [
            Heading(
                tag["name"],
                f"about-{tag['name'].lower().replace(' ', '-')}",
                words(tag["description"]),
                operations.get(tag["name"], []),
            )
            for tag in self._document["tags"]
        ]

    def _operation(self, path: str, method: str, operation: Part) -> Operation:
        contents: Part = operation.get("requestBody", {}).get("content", {})
        kind = next(iter(contents), "")
        answers = [self._answer(status, self._found(part)) for status, part in operation["responses"].items()]
        request = example_request(self._document, path, method, base_url=self._base_url, cookie_name=self._cookie_name)
        return Operation(
            id=operation["operationId"],
            method=method.upper(),
            path=_path(path),
            summary=operation["summary"],
            paragraphs=paragraphs(operation["description"]),
            parameters=[self._parameter(self._found(part)) for part in operation.get("parameters", [])],
            body_kind=kind,
            body_fields=self._fields(contents[kind]["schema"]) if kind else [],
            done=answers[0],
            refusals=answers[1:],
            snippets=[Snippet(name, name.lower(), write(request)) for name, write in LANGUAGES.items()],
        )

    def _answer(self, status: str, part: Part) -> Answer:
        content: Part = next(iter(part.get("content", {}).values()), {})
        return Answer(
            status=status,
            phrase=HTTPStatus(int(status)).phrase,
            words=words(part["description"]),
            headers=[
                Field(name, "", words(self._found(header)["description"]))
                for name, header in part.get("headers", {}).items()
            ],
            fields=self._fields(content.get("schema", {})),
            example=_shown(content["example"]) if content else "",
        )

    def _parameter(self, part: Part) -> Field:
        place = {"path": "in the path", "query": "in the query", "header": "header"}[part["in"]]
        kind = f"{_kind(_choice(part['schema']))}, {place}"
        return Field(
            part["name"], kind, words(_sentence(part["description"], part["schema"])), part.get("required", False)
        )

    def _fields(self, schema: Part, depth: int = 0) -> list[Field]:
        """Return the rows of a schema's own fields, or of those of its items."""
        schema = self._shape(schema)
        if depth > DEEPEST:
            return []
        required = schema.get("required", [])
        return [self._field(name, part, name in required, depth) for name, part in schema.get("properties", {}).items()]

    def _field(self, name: str, part: Part, is_required: bool, depth: int) -> Field:
        shape = self._shape(part)
        kind = _kind({**self._found(_choice(part)), **{key: part[key] for key in ("type",) if key in part}})
        if "anyOf" in part and {"type": "null"} in part["anyOf"]:
            kind += " or null"
        told = part.get("description") or shape.get("description", "")
        bounds = shape if "enum" in shape or "properties" not in shape else {}
        told = _sentence(told, {**bounds, **part})
        return Field(name, kind, words(told), is_required, self._fields(shape, depth + 1))

    def _shape(self, part: Part) -> Part:
        """Return what has the fields: the part itself, what it refers to, or its items."""
        found = self._found(_choice(part))
        return self._shape(found["items"]) if "items" in found else found

    def _found(self, part: Part) -> Part:
        if "$ref" not in part:
            return part
        found: Any = self._document
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        return dict(found)


def words(text: str) -> list[Words]:
    """Return a sentence in pieces: what stands between backticks is code."""
    return [Words(piece, place % 2 == 1) for place, piece in enumerate(text.split("`")) if piece]


def paragraphs(text: str) -> list[list[Words]]:
    """Return a text's paragraphs."""
    return [words(paragraph) for paragraph in text.split("\n\n")]


def _path(path: str) -> list[Words]:
    return [Words(piece, piece.startswith("{")) for piece in re.split(r"(\{\w+\})", path) if piece]


def _choice(part: Part) -> Part:
    """Return the one shape of a part that may be null or empty too."""
    choices = [choice for choice in part.get("anyOf", []) if choice not in ({"type": "null"}, {"const": ""})]
    return {**part, **choices[0]} if len(choices) == 1 else part


_KINDS = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false", "null": "null"}


def _kind(schema: Part) -> str:
    types = schema.get("type", [])
    names = [_KINDS.get(name, name) for name in ([types] if isinstance(types, str) else types)]
    if "array" in names:
        items = schema.get("items", {})
        is_of_shapes = "$ref" in items or "properties" in items
        names[names.index("array")] = "list" if is_of_shapes else f"list of {_plural(items)}"
    if not names:
        return "text"
    if schema.get("format") == "date-time":
        names = ["moment" if name == "text" else name for name in names]
    return " or ".join(names)


def _plural(items: Part) -> str:
    return {"string": "texts", "integer": "whole numbers", "object": "objects"}.get(str(items.get("type")), "values")


def _sentence(text: str, schema: Part) -> str:
    """Return what is told of a value, and the bounds that its schema holds."""
    return " ".join(part for part in (text, *_bounds(schema)) if part)


def _bounds(schema: Part) -> list[str]:
    told = []
    values = [value for value in schema.get("enum", []) if value]
    if len(values) > 1:
        told.append(f"One of {', '.join(f'`{value}`' for value in values)}.")
    if "const" in schema:
        told.append(f"Always `{json.dumps(schema['const']) if schema['const'] is True else schema['const']}`.")
    if "minimum" in schema and "maximum" in schema:
        told.append(f"{schema['minimum']} to {schema['maximum']}.")
    if "x-clamped" in schema:
        least, most = schema["x-clamped"]
        told.append(f"{least} to {most}; a number outside is moved to the nearer end.")
    if "maxLength" in schema:
        told.append(f"At most {schema['maxLength']} characters.")
    if "maxItems" in schema:
        told.append(f"At most {schema['maxItems']}.")
    if schema.get("default") not in (None, False):
        told.append(f"`{schema['default']}` without it.")
    return told


def _shown(example: Any) -> str:
    """Return an example as a reader sees it: a file as it stands, all else as JSON."""
    return example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)
