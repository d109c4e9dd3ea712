"""Reads the body of a check, strictly: one meaning, or a 400 that names the field."""

import json
import re
from functools import lru_cache
from typing import Any, NoReturn

import msgspec

from apiauth.core.errors import Invalid
from apiauth.core.permissions import requirement
from apiauth.core.redaction import without_secrets
from apiauth.core.resource import normal_form

MOST_REQUIREMENTS = 64
LONGEST_LOGGED = 500
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})

_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"contains unknown field")
_MISSING = re.compile(r"missing required field `(\w+)`")
_EXPECTED = re.compile(r"Expected `(\w+)")


class Principal(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """What is presented, and of what kind it claims to be."""

    type: str
    value: str


class CheckBody(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The body as it stands on the wire."""

    principal: Principal
    resource: str
    method: str
    client_ip: str | None = None
    user_agent: str | None = None
    required_permissions: list[str] | None = None


_decoder = msgspec.json.Decoder(CheckBody)


def parse_body(data: bytes) -> CheckBody:
    """Return what the caller asks. Raises Invalid."""
    try:
        body = _decoder.decode(data)
    except msgspec.ValidationError as error:
        _refuse(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise Invalid("The body must be one JSON object in UTF-8.") from None
    if b"\\" in data or data.count(b'"') != _quotes(body):
        _refuse_repeated_fields(data)
        _refuse_nul(body)
    _check_values(body)
    return body


def _check_values(body: CheckBody) -> None:
    if body.principal.type != "api_key":
        raise Invalid("`principal.type` must be `api_key`.", field="principal.type")
    if body.method not in METHODS:
        body.method = body.method.upper() if body.method.isascii() else ""
        if body.method not in METHODS:
            raise Invalid(f"`method` must be one of {', '.join(sorted(METHODS))}.", field="method")
    required = body.required_permissions
    if required:
        if len(required) > MOST_REQUIREMENTS:
            raise Invalid(
                f"`required_permissions` has more than {MOST_REQUIREMENTS} entries.", field="required_permissions"
            )
        for expression in required:
            requirement(expression)


@lru_cache(maxsize=16_384)
def parse_resource(resource: str) -> tuple[str, str]:
    """Return a resource's normal form, and what of it may stand in the log. Raises Invalid."""
    path = normal_form(resource)
    return path, without_secrets(path)[:LONGEST_LOGGED]


@lru_cache(maxsize=4_096)
def logged_user_agent(text: str) -> str:
    """Return what of a user agent may stand in the log."""
    return without_secrets(text)[:LONGEST_LOGGED]


def _quotes(body: CheckBody) -> int:
    """Return how many quotation marks a body without escapes and without repeated fields has.

    A field that is repeated brings two more at least, so only a body that has more needs the
    slow look. An explicit null has more too, and is found innocent there.
    """
    strings = 9
    if body.client_ip is not None:
        strings += 2
    if body.user_agent is not None:
        strings += 2
    if body.required_permissions is not None:
        strings += 1 + len(body.required_permissions)
    return 2 * strings


def _refuse_repeated_fields(data: bytes) -> None:
    json.loads(data, object_pairs_hook=_without_repeats)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs as a dictionary; which of two values is meant is not ours to choose."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Invalid("A field stands twice in the body.")
    return result


def _refuse_nul(body: CheckBody) -> None:
    """Only an escape can bring in a NUL: JSON has no raw control characters."""
    for field in ("resource", "method", "client_ip", "user_agent"):
        if "\0" in (getattr(body, field) or ""):
            raise Invalid(f"`{field}` holds a NUL character.", field=field)


def _refuse(problem: str) -> NoReturn:
    """Say in our own words what the decoder found; it might repeat what was sent."""
    place = _PLACE.search(problem)
    path = place[1] if place else ""
    missing = _MISSING.search(problem)
    if missing:
        field = f"{path}.{missing[1]}" if path else missing[1]
        raise Invalid(f"`{field}` is missing.", field=field)
    if _UNKNOWN.search(problem):
        raise Invalid(f"There is an unknown field in {f'`{path}`' if path else 'the body'}.", field=path or None)
    kind = _EXPECTED.search(problem)
    words = {"str": "text", "object": "an object", "array": "a list"}
    expected = words.get(kind[1], "of another type") if kind else "of another type"
    if not path:
        raise Invalid("The body must be a JSON object.")
    raise Invalid(f"`{path}` must be {expected}.", field=path)
