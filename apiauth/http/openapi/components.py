"""What operations share: headers, refusals and the ways to say who calls."""

from collections.abc import Iterable
from typing import Any

from apiauth.core.errors import (
    ChangedMeanwhile,
    Conflict,
    Invalid,
    KeysteadError,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    TooLarge,
    TooMany,
    Unavailable,
    Unprocessable,
)
from apiauth.http.errors import LengthRequired, WrongMediaType
from apiauth.models.fields import SLUG

Part = dict[str, Any]

PATH_VALUES: dict[tuple[str, str], Part] = {
    ("path", "app_slug"): {"pattern": SLUG},
    ("path", "slug"): {"pattern": SLUG},
    ("path", "key_id"): {"pattern": "^[0-9]{1,19}$"},
}
ALWAYS = (400, 503)
WITH_ACCESS = (401, 403, 429)
WITH_BODY = (411, 413, 415)

ANSWER_HEADERS: dict[str, Part] = {
    "X-Request-Id": {
        "description": "The request's id, also in the body of an error and in the operator's log. Yours, if you sent "
        "one of 1 to 128 letters, digits, `_`, `.` and `-`.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,128}$"},
    },
    "Content-Disposition": {
        "description": "The name to save the file under.",
        "schema": {"type": "string"},
    },
    "ETag": {
        "description": "The version of what was read or changed: send it back as `If-Match`.",
        "required": True,
        "schema": {"type": "string", "examples": ['"2031-04-05T06:07:08.123456Z"']},
    },
    "Retry-After": {
        "description": "Whole seconds after which it is worth asking again.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    },
    "RateLimit": {
        "description": "How many calls this credential has left, `r`, and for how many seconds, `t`.",
        "required": True,
        "schema": {"type": "string", "examples": ['"calls";r=2999;t=41']},
    },
    "RateLimit-Policy": {
        "description": "How many calls, `q`, this credential has in how many seconds, `w`.",
        "required": True,
        "schema": {"type": "string", "examples": ['"calls";q=3000;w=60']},
    },
    "WWW-Authenticate": {
        "description": "Which credential is wanted.",
        "required": True,
        "schema": {"type": "string", "examples": ['Bearer realm="keystead"']},
    },
    "Set-Cookie": {
        "description": "The session's cookie: given, or taken back.",
        "required": True,
        "schema": {"type": "string"},
    },
}

REQUEST_HEADERS: dict[str, Part] = {
    "Idempotency-Key": {
        "description": "A name of your choice for this call, 1 to 255 printable ASCII characters without a space at "
        "either end. For 24 hours the same call with the same name is carried out once.",
        "schema": {"type": "string", "maxLength": 255, "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
        "example": "order-7041",
    },
    "If-Match": {
        "description": "The `ETag` you have read. Had somebody else changed the thing since, nothing is changed and "
        "the answer is a 412.",
        "schema": {"type": "string"},
    },
    "Prefer": {
        "description": "`wait=5` asks for an answer once every gateway has the change, or after 5 seconds; 10 at most. "
        "The answer says `propagated`, and which wait was heeded in `Preference-Applied`: "
        "none, where many calls wait already.",
        "schema": {"type": "string"},
        "example": "wait=5",
    },
    "Origin": {
        "description": "The page's origin, which browsers send by themselves. The deployment has to list it.",
        "required": True,
        "schema": {"type": "string"},
        "example": "https://app.example.com",
    },
}

_KINDS: dict[int, type[KeysteadError]] = {
    kind.status: kind
    for kind in (
        Invalid,
        NotAuthenticated,
        NotAllowed,
        NotFound,
        Conflict,
        LengthRequired,
        ChangedMeanwhile,
        TooLarge,
        WrongMediaType,
        Unprocessable,
        TooMany,
        Unavailable,
    )
}
LIMIT_FIELDS = ("RateLimit", "RateLimit-Policy")
_WITH_RETRY_AFTER = (429, 503)
_MEANINGS = {
    400: "What was sent cannot be used; the field at fault is named.",
    401: "No valid credential came along.",
    403: "The credential does not allow this.",
    404: "It is not here, or it is not yours.",
    409: "It does not fit the present state.",
    411: "The body came without its length.",
    412: "It was changed since you read it.",
    413: "The body has more than 64 KiB.",
    415: "The body is of another type than the one that is read here.",
    422: "Understood, but beyond a bound.",
    429: "Too many requests in a short time.",
    503: "Keystead cannot answer just now. Nothing was changed.",
}


def name_of(status: int) -> str:
    """Return the name of the shared answer for a status."""
    return _KINDS[status].__name__


def refusals(statuses: Iterable[int], *, shape: str, is_frontend: bool) -> dict[str, Part]:
    """Return the shared answers for these statuses, whose body is the schema `shape`."""
    return {name_of(status): _refusal(status, shape, is_frontend) for status in sorted(statuses)}


def header_references(names: Iterable[str]) -> dict[str, Part]:
    """Return answer headers as references to the shared ones."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def request_headers(names: Iterable[str]) -> dict[str, Part]:
    """Return shared request headers."""
    return {name: {"name": name, "in": "header", **REQUEST_HEADERS[name]} for name in sorted(names)}


def _refusal(status: int, shape: str, is_frontend: bool) -> Part:
    names = ["X-Request-Id", *(["Retry-After"] if status in _WITH_RETRY_AFTER else [])]
    names += LIMIT_FIELDS if status == 429 else ()
    if status == 401 and not is_frontend:
        names.append("WWW-Authenticate")
    return {
        "description": _MEANINGS[status],
        "headers": header_references(names),
        "content": {
            "application/json": {
                "schema": {"$ref": f"#/components/schemas/{shape}"},
                "example": _example(_KINDS[status], is_frontend),
            }
        },
    }


def _example(kind: type[KeysteadError], is_frontend: bool) -> Part:
    error = kind()
    problem = {"message": error.message, "code": error.code if is_frontend else error.status}
    body: Part = {
        "message": error.message,
        "code": error.code,
        "details": None,
        "errors": [problem],
        "request_id": "4b1c0e3f9a7d4c52b8e6d1f0a2c3e495",
    }
    return {"status": error.status, **body, "data": None, "session": None} if is_frontend else body
