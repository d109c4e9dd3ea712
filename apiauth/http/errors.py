"""How an error looks on a JSON path: one object, whatever layer it comes from.

KeysteadError (core.errors)
├── Invalid
│   └── InvalidFields      400  several fields at once
├── NotAllowed
│   ├── MissingScope       403  the backend key may not do this
│   └── ForeignOrigin      403  the page that asks is not on the deployment's list
├── MethodNotAllowed       405
├── LengthRequired         411
└── WrongMediaType         415
"""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import BadRequest, DisallowedHost, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, JsonResponse, UnreadablePostError
from django.http.multipartparser import MultiPartParserError

from apiauth.core.errors import Invalid, KeysteadError, NotAllowed, NotFound, TooLarge, TooMany, Unavailable

PAGES = ("/portal", "/vanity", "/admin", "/docs", "/static")
FRONTEND = ("/api-auth/session", "/api-auth/keys", "/api-auth/audit", "/session/ticket", "/deployment")


class InvalidFields(Invalid):
    """Some fields cannot be used."""

    def __init__(self, problems: Sequence[tuple[str | None, str]]) -> None:
        self.problems = list(problems)
        field, message = self.problems[0]
        super().__init__(message, field=field)


class MissingScope(NotAllowed):
    """This backend key may not do this."""

    code = "missing_scope"

    def __init__(self, scope: str) -> None:
        super().__init__(f"This backend key lacks the scope {scope}.")
        self.details = {"missing_scope": scope}


class ForeignOrigin(NotAllowed):
    """This page's origin is not on the deployment's list."""

    code = "origin_not_allowed"


class MethodNotAllowed(KeysteadError):
    """This address can't be used with this method."""

    code = "method_not_allowed"
    status = 405


class LengthRequired(KeysteadError):
    """Send the body with its Content-Length."""

    code = "length_required"
    status = 411


class WrongMediaType(KeysteadError):
    """Send the body as application/json in UTF-8."""

    code = "unsupported_media_type"
    status = 415


class _BadRequest(Invalid):
    """The request cannot be read."""


class _Failed(KeysteadError):
    """Something went wrong on our side. Nothing was changed."""


class _NoSuchAddress(NotFound):
    """There is nothing at this address."""


_BY_STATUS: dict[int, type[KeysteadError]] = {
    400: _BadRequest,
    403: NotAllowed,
    404: _NoSuchAddress,
    405: MethodNotAllowed,
    413: TooLarge,
    415: WrongMediaType,
    429: TooMany,
    503: Unavailable,
}


def is_json_path(path: str) -> bool:
    """Tell whether an address answers in JSON: every one that is not a page's."""
    return not _is_under(path, PAGES)


def is_frontend_path(path: str) -> bool:
    """Tell whether an address belongs to the browser session API, whose answers are wrapped."""
    return _is_under(path, FRONTEND)


def _is_under(path: str, roots: Sequence[str]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)


def refusal_of(exception: BaseException) -> KeysteadError | None:
    """Return the refusal that an exception of another layer means, or None for a defect of ours."""
    if isinstance(exception, KeysteadError):
        return exception
    if isinstance(exception, OperationalError | InterfaceError):
        return Unavailable()
    if isinstance(exception, RequestDataTooBig):
        return TooLarge()
    if isinstance(exception, DisallowedHost):
        return Invalid("This host name is not served here.", field="Host")
    if isinstance(exception, SuspiciousOperation | BadRequest | MultiPartParserError | UnreadablePostError):
        return _BadRequest()
    return None


def refusal_of_status(status: int) -> KeysteadError:
    """Return the refusal that stands for a bare status of another layer."""
    known = _BY_STATUS.get(status) or (_BadRequest if status < 500 else _Failed)
    error = known()
    error.status = status
    return error


def answer(request: HttpRequest, error: KeysteadError) -> JsonResponse:
    """Answer with the one error object, in the form that the address's clients read."""
    frontend = is_frontend_path(request.path)
    problems: Sequence[tuple[str | None, str]] = getattr(error, "problems", [(error.field, error.message)])
    body: dict[str, Any] = {
        "message": error.message,
        "code": error.code,
        "details": {**{field: text for field, text in problems if field}, **error.details} or None,
        "errors": [_entry(field, text, error.code if frontend else error.status) for field, text in problems],
        "request_id": getattr(request, "request_id", ""),
    }
    if frontend:
        body = {"status": error.status, **body, "data": None, "session": None}
    response = JsonResponse(body, status=error.status)
    if error.status == 401 and not frontend:
        response["WWW-Authenticate"] = 'Bearer realm="keystead"'
    seconds = error.retry_after if isinstance(error, TooMany) else 1
    if error.status in (TooMany.status, Unavailable.status):
        response["Retry-After"] = str(seconds)
    return response


def _entry(field: str | None, message: str, code: str | int) -> dict[str, str | int]:
    entry: dict[str, str | int] = {"message": message, "code": code}
    return {**entry, "field": field} if field else entry
