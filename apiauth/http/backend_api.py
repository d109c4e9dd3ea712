"""The API that products' backends call, without its routes: how it reads bodies and refuses them."""

from typing import Any, NoReturn

from django.http import HttpRequest
from ninja import NinjaAPI
from ninja.errors import HttpError, ValidationError

from apiauth.core.errors import Invalid, KeysteadError
from apiauth.http.errors import InvalidFields, refusal_of, refusal_of_status
from apiauth.http.strict_json import StrictParser

_MUST_BE = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
_UNION_MEMBERS = ("str", "int")


def make_api(title: str, namespace: str) -> NinjaAPI:
    """Return an empty API whose refusals go on to ErrorsAsJson, the one place that answers with them."""
    api = NinjaAPI(title=title, urls_namespace=namespace, docs_url=None, openapi_url=None, parser=StrictParser())
    api.add_exception_handler(ValidationError, _refuse_fields)
    api.add_exception_handler(HttpError, _refuse_request)
    return api


def _refuse_fields(request: HttpRequest, error: Any) -> NoReturn:
    """Say of each field what it must be."""
    problems: dict[str, list[str]] = {}
    for entry in error.errors:
        place = list(entry["loc"][2:])
        if place and place[-1] in _UNION_MEMBERS:
            place.pop()
        problems.setdefault(_field(place), []).append(entry["type"])
    if "" in problems:
        raise Invalid("Send a JSON object as the body.")
    raise InvalidFields([(field, _sentence(field, kinds)) for field, kinds in problems.items()])


def _refuse_request(request: HttpRequest, error: Any) -> NoReturn:
    """Let what the body's reader raised through; ninja hides it behind a sentence of its own."""
    refusal = refusal_of(error.__cause__) if error.__cause__ else None
    raise refusal or refusal_of_status(error.status_code)


def _field(place: list[str | int]) -> str:
    field = ""
    for part in place:
        field += f"[{part}]" if isinstance(part, int) else f".{part}" if field else str(part)
    return field


def _sentence(field: str, kinds: list[str]) -> str:
    if "missing" in kinds:
        return f"Send {field}."
    wanted = [_MUST_BE[kind] for kind in kinds if kind in _MUST_BE]
    return f"{field} must be {' or '.join(dict.fromkeys(wanted))}." if wanted else f"{field} cannot be read."


def as_not_found(problem: KeysteadError) -> KeysteadError:
    """Return a refusal as a 404, which is what the backend clients expect of a key that has ended."""
    problem.status = 404
    return problem
