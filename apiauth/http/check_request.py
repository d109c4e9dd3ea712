"""Reads the body of a check, or of a batch of them, strictly: one meaning, or a 400 that names the field."""

import json
import re
from typing import Any, NoReturn, TypeVar

import msgspec

from apiauth.core.decision import METHODS
from apiauth.core.errors import Invalid, TooLarge
from apiauth.core.permissions import requirement
from apiauth.core.redaction import without_secrets
from apiauth.core.resource import normal_form
from apiauth.core.short_texts import cached_if_short
from apiauth.core.shown import fit_to_show

MOST_BODY_BYTES = 16 * 1024
MOST_BATCH_BYTES = 256 * 1024
MOST_CHECKS = 100
MOST_REQUIREMENTS = 64
LONGEST_LOGGED = 500

Body = TypeVar("Body")

_METHODS = frozenset(METHODS)
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


class BatchBody(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The body of a batch; its checks are read one by one, each as the body of a single check is."""

    checks: list[msgspec.Raw]


_decoder = msgspec.json.Decoder(CheckBody)
_batch_decoder = msgspec.json.Decoder(BatchBody)


def parse_body(data: bytes) -> CheckBody:
    """Return what the caller asks. Raises Invalid."""
    body = _decode(_decoder, data)
    if b"\\" in data or data.count(b'"') != _quotes(body):
        _refuse_repeated_fields(data)
        _refuse_nul(body)
    if body.principal.type != "api_key":
        raise Invalid("`principal.type` must be `api_key`.", field="principal.type")
    if body.method not in _METHODS:
        body.method = _method_of(body.method)
    if body.required_permissions:
        _check_requirements(body.required_permissions)
    return body


def parse_batch(data: bytes) -> list[bytes]:
    """Return the bodies of a batch's checks, not read yet. Raises Invalid; TooLarge where one is by itself."""
    checks = [bytes(check) for check in _decode(_batch_decoder, data).checks]
    if not 1 <= len(checks) <= MOST_CHECKS:
        raise Invalid(f"`checks` must hold 1 to {MOST_CHECKS} checks.", field="checks")
    for index, check in enumerate(checks):
        if len(check) > MOST_BODY_BYTES:
            raise TooLarge(f"A check has at most {MOST_BODY_BYTES} bytes, in a batch too.", field=f"checks[{index}]")
    if data.count(b'"') != 2 + sum(check.count(b'"') for check in checks):
        _refuse_repeated_fields(data)
    return checks


def within_batch(index: int, problem: Invalid) -> Invalid:
    """Return the refusal of a whole batch for what is wrong with one check in it."""
    place = f"checks[{index}]"
    return Invalid(f"In `{place}`: {problem.message}", field=f"{place}.{problem.field}" if problem.field else place)


def _decode(decoder: msgspec.json.Decoder[Body], data: bytes) -> Body:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        _refuse(str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise Invalid("The body must be one JSON object in UTF-8.") from None


def _method_of(text: str) -> str:
    """Return the method that a text in small letters means. Raises Invalid."""
    method = text.upper() if text.isascii() else ""
    if method not in _METHODS:
        raise Invalid(f"`method` must be one of {', '.join(sorted(METHODS))}.", field="method")
    return method


def _check_requirements(required: list[str]) -> None:
    if len(required) > MOST_REQUIREMENTS:
        raise Invalid(
            f"`required_permissions` has more than {MOST_REQUIREMENTS} entries.", field="required_permissions"
        )
    for expression in required:
        requirement(expression)


@cached_if_short(8_192)
def parse_resource(resource: str) -> tuple[str, str]:
    """Return a resource's normal form, and what of it may stand in the log. Raises Invalid."""
    path = normal_form(resource)
    return path, fit_to_show(without_secrets(path))[:LONGEST_LOGGED]


@cached_if_short(4_096)
def logged_user_agent(text: str) -> str:
    """Return what of a user agent may stand in the log."""
    return fit_to_show(without_secrets(text))[:LONGEST_LOGGED]


def _quotes(body: CheckBody) -> int:
    """Return how many quotation marks a body without escapes and without repeated fields has.

    A field that is repeated brings two more at least, so only a body that has more needs the
    slow look. An explicit null has more too, and is found innocent there.
    """
    quotes = 18
    if body.client_ip is not None:
        quotes += 4
    if body.user_agent is not None:
        quotes += 4
    if body.required_permissions is not None:
        quotes += 2 + 2 * len(body.required_permissions)
    return quotes


def _refuse_repeated_fields(data: bytes) -> None:
    try:
        json.loads(data, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):  # in a value that a later one of the same name has hidden
        raise Invalid("The body must be one JSON object in UTF-8.") from None


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
