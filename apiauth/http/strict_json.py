"""Reads a JSON body and refuses whatever two readers could understand differently, or no reader in full."""

import json
import math
from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest
from ninja.parser import Parser

from apiauth.core.errors import Invalid
from apiauth.core.metadata import LARGEST_INTEGER
from apiauth.http.errors import WrongMediaType

DEEPEST = 32
_LONGEST_NUMBER = 40
_LARGEST_INTEGER = 2**63 - 1


class StrictParser(Parser):
    """The body of a JSON door: one object, as application/json in UTF-8."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        """Return the body's object. Raises WrongMediaType, Invalid."""
        require_json(request)
        return parse_object(request.body)


def require_json(request: HttpRequest) -> None:
    """Return if the body says that it is JSON in UTF-8; raise WrongMediaType if not."""
    if request.content_type != "application/json" or not is_plain_utf8(request):
        raise WrongMediaType


def is_plain_utf8(request: HttpRequest) -> bool:
    """Tell whether the body says that it is UTF-8, or nothing else, and that it is not compressed."""
    charset = (request.content_params or {}).get("charset", "utf-8").strip('"').lower()
    encoded = request.headers.get("Content-Encoding", "identity").lower()
    return charset in ("utf-8", "utf8") and encoded == "identity"


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the object that a body holds.

    Raises Invalid, with the field where there is one, for a duplicate field, NaN or Infinity, a number
    that 64 bits cannot hold, nesting beyond DEEPEST, NUL, half a surrogate pair, and for what is no object.
    """
    try:
        value = _read(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise Invalid("The body is not UTF-8.") from None
    except ValueError:
        raise Invalid("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise Invalid("The body must be a JSON object.")
    _check(value)
    return value


def parse_list(text: str, field: str) -> list[Any]:
    """Return the list that a field of a form holds as JSON, read as strictly as a body; none where it is empty.

    Raises Invalid that names the field.
    """
    try:
        value = _read(text) if text else []
        if not isinstance(value, list):
            raise ValueError
        _check({field: value})
    except (ValueError, Invalid):
        raise Invalid(f"{field} must be a list, written as JSON.", field=field) from None
    return value


def shown(field: str) -> str:
    """Return a field's name as it can stand in an answer."""
    return field[:100].replace("\x00", "").encode("utf-8", "replace").decode()


def _read(text: str) -> Any:
    """Return what a JSON text says. Raises ValueError for what is none, Invalid for what has no one meaning."""
    try:
        return json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
            parse_int=_integer,
            parse_float=_number,
        )
    except RecursionError:
        raise _too_deep() from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise Invalid("This field stands twice in the body.", field=shown(name))
            seen.add(name)
    return found


def _refuse_constant(name: str) -> float:
    raise Invalid(f"{name} is not a JSON number.")


def _integer(text: str) -> int:
    value = int(text) if len(text) <= _LONGEST_NUMBER else _LARGEST_INTEGER + 1
    if abs(value) > _LARGEST_INTEGER:
        raise Invalid("A whole number in the body is too large.")
    return value


def _number(text: str) -> float | int:
    """Return a number; `60.0` is a whole one, as in JSON Schema, section 4.2.3 of its core."""
    value = float(text)
    if not math.isfinite(value):
        raise Invalid("A number in the body is too large.")
    return int(value) if value.is_integer() and abs(value) <= LARGEST_INTEGER else value


def _check(value: dict[str, Any]) -> None:
    """Look at every text and at the depth, without recursion of our own."""
    waiting: list[tuple[str, Any, int]] = [("", value, 1)]
    while waiting:
        field, entry, depth = waiting.pop()
        if isinstance(entry, str):
            _check_text(entry, field)
        elif isinstance(entry, dict | list):
            if depth > DEEPEST:
                raise _too_deep()
            waiting.extend((name, part, depth + 1) for name, part in _parts(field, entry))


def _parts(field: str, entry: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(entry, list):
        yield from ((f"{field}[{place}]", part) for place, part in enumerate(entry))
        return
    for name, part in entry.items():
        _check_text(name, field)
        yield (f"{field}.{name}" if field else name), part


def _check_text(text: str, field: str) -> None:
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise Invalid("A text in the body holds NUL or half a surrogate pair.", field=shown(field) or None)


def _too_deep() -> Invalid:
    return Invalid(f"The body nests more than {DEEPEST} deep.")
