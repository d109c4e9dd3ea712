"""The gateway's OpenAPI document, written by hand beside its handler: the gateway knows no Django and no ninja.

The request's fields come from the structs that read them; a test holds the answers to what the gateway says.
"""

import json
from functools import cache
from typing import Any

from apiauth.http.check_answer import IDENTITY_FIELDS, INVALID_KEY, RETRY_SECONDS
from apiauth.http.gateway_schemas import schemas

Part = dict[str, Any]

INTRODUCTION = """\
What your API asks about every call, before it does the work: may this key do this?

The gateway listens on a port of its own, for your servers alone: no browser ever asks it. Where it is set to \
(`KEYSTEAD_GATEWAY_AUTH=token`), it answers only callers that send a backend key.

Do the work when the status is 200, `allowed` is `true` and `identity` is the app you serve. Anything else is a no, \
and so is no answer. Every decision is recorded before it is answered; what cannot be decided or recorded is a 503."""

EXAMPLE_REQUEST: Part = {
    "principal": {"type": "api_key", "value": "nw_live_…"},
    "resource": "/v2/routes?near=harbour",
    "method": "GET",
    "client_ip": "203.0.113.9",
    "user_agent": "northwind-cli/1.4",
    "required_permissions": ["routes:read"],
}
_REQUEST_ID = "req_01960fd0a1b27c3d8e4f5a6b7c8d9e0f"
EXAMPLE_ANSWER: Part = {
    "request_id": _REQUEST_ID,
    "allowed": True,
    "reason": None,
    "blocked_rule": None,
    "rule": None,
    "identity": {
        **dict.fromkeys(IDENTITY_FIELDS),
        "key_id": "90071992547409931",
        "deployment_id": "90071992547400001",
        "app_slug": "aa_northwind",
        "key_name": "Billing worker",
    },
    "permissions": ["routes:read"],
    "metadata": {"team": "blue"},
    "rate_limits": [{"rule": "60/60s", "remaining": 59, "limit": 60}],
    "retry_after": None,
    "headers": {
        "x-wacht-key-id": "90071992547409931",
        "x-wacht-deployment-id": "90071992547400001",
        "x-wacht-app-slug": "aa_northwind",
        "x-wacht-key-name": "Billing worker",
        "x-wacht-permissions": "routes:read",
        "x-wacht-metadata": "team=blue",
        "x-ratelimit-60s-limit": "60",
        "x-ratelimit-60s-remaining": "59",
        "ratelimit-policy": '"60/60s";q=60;w=60',
        "ratelimit": '"60/60s";r=59;t=41',
    },
    "stale_ms": 12,
}


@cache
def document() -> Part:
    """Return the document, of plain JSON values alone."""
    plain: Part = json.loads(json.dumps(_document()))
    return plain


def _document() -> Part:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Keystead gateway",
            "version": "1",
            "description": INTRODUCTION,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8001", "description": "The gateway's address on your own network"}],
        "tags": [
            {"name": "Checks", "description": "One question, one decision, recorded."},
            {"name": "Health", "description": "How this process is, for whoever runs it."},
        ],
        "paths": {
            "/v1/authz/check": {"post": _check()},
            "/v1/authz/check-batch": {"post": _check_batch()},
            "/health": {"get": _health("health", "Live", "Answer as long as the process lives.", _unknown_health())},
            "/ready": {"get": _health("ready", "Ready", "Answer once the process can decide.", _unready())},
        },
        "components": _components(),
    }


def _components() -> Part:
    return {
        "schemas": schemas(),
        "headers": {
            "Retry-After": {
                "description": "Whole seconds after which it is worth asking again.",
                "required": True,
                "schema": {"type": "integer", "minimum": RETRY_SECONDS},
            },
            "WWW-Authenticate": {
                "description": "Which credential is wanted: only where the gateway wants one of its caller.",
                "schema": {"type": "string"},
            },
            "Keystead-Generation": {
                "description": "How far the gateway had read the changes of keys: what was decided, or refused as "
                "`stale`, saw at least these.",
                "schema": {"type": "string", "pattern": "^[0-9]+$"},
            },
            "Keystead-Stale-Ms": {
                "description": "How old its knowledge of keys was, in milliseconds.",
                "schema": {"type": "integer", "minimum": 0},
            },
        },
        "securitySchemes": {
            "backendKey": {
                "type": "http",
                "scheme": "bearer",
                "description": "A backend key with the scope `gateway:check`, where the gateway wants one.",
            }
        },
    }


def _check() -> Part:
    return {
        "tags": ["Checks"],
        "summary": "Check",
        "operationId": "check",
        "description": "Decide about one call.\n\nA key that cannot be used for anything is a 401. A usable key that "
        "may not do this, or not just now, is a 200 with `allowed` false. Fields that are not described here, or stand "
        "twice, are refused.",
        "security": _CALLER,
        "requestBody": _body("CheckBody", EXAMPLE_REQUEST),
        "responses": {
            "200": {**_answer("The decision.", "Decision", EXAMPLE_ANSWER), "headers": _KNOWLEDGE},
            **_refusals("Refusal", "The key cannot be used, or the caller is not known.", INVALID_KEY, "16 KiB"),
        },
    }


def _check_batch() -> Part:
    return {
        "tags": ["Checks"],
        "summary": "Check batch",
        "operationId": "checkBatch",
        "description": "Decide about up to 100 calls, in their order: each is decided, recorded and counted as if "
        "asked alone.\n\nA check that cannot be read refuses the whole batch, with a field such as `checks[3].method`; "
        "nothing is decided then.",
        "security": _CALLER,
        "requestBody": _body("BatchBody", {"checks": [EXAMPLE_REQUEST]}),
        "responses": {
            "200": {
                **_answer("The decisions.", "Batch", {"decisions": [{**EXAMPLE_ANSWER, "status": 200}]}),
                "headers": _KNOWLEDGE,
            },
            **_refusals("BatchRefusal", "The caller is not known.", "caller_unknown", "256 KiB, or a check 16 KiB"),
        },
    }


_KNOWLEDGE: Part = {
    name: {"$ref": f"#/components/headers/{name}"} for name in ("Keystead-Generation", "Keystead-Stale-Ms")
}
_CALLER: list[Part] = [{}, {"backendKey": ["gateway:check"]}]


def _body(shape: str, example: Part) -> Part:
    return {"required": True, "content": {"application/json": {"schema": _ref(shape), "example": example}}}


def _refusals(shape: str, unknown: str, unknown_code: str, most: str) -> Part:
    return {
        "400": _refused(shape, "What was sent cannot be used; the field at fault is named.", 400, "invalid"),
        "401": {
            **_refused(shape, unknown, 401, unknown_code),
            "headers": {
                "WWW-Authenticate": {"$ref": "#/components/headers/WWW-Authenticate"},
                **(_KNOWLEDGE if unknown_code == INVALID_KEY else {}),
            },
        },
        "403": _refused(shape, "The gateway does not answer this caller.", 403, "caller_not_allowed"),
        "411": _refused(shape, "The body came without its length.", 411, "length_required"),
        "413": _refused(shape, f"The body has more than {most}.", 413, "too_large"),
        "503": {
            **_refused(shape, "It cannot be decided or recorded just now.", 503, "stale"),
            "headers": {"Retry-After": {"$ref": "#/components/headers/Retry-After"}, **_KNOWLEDGE},
        },
    }


def _health(name: str, summary: str, sentence: str, failure: Part) -> Part:
    return {
        "tags": ["Health"],
        "summary": summary,
        "operationId": name,
        "description": sentence,
        "security": [],
        "responses": {"200": _health_answer("It does."), "503": failure},
    }


def _health_answer(meaning: str) -> Part:
    example = {
        "status": "ok",
        "stale_ms": 12,
        "keys": {"resident": 1840, "total": 1840, "mode": "all"},
        "generation": "771",
        "epoch": 1,
        "spool": {"used": 0.004, "reserve": True, "quarantined": 0},
        "limits": {"mode": "host", "degraded": False, "since": None, "crowded_since": None},
        "time": "2031-04-05T06:07:08.123456Z",
    }
    return _answer(meaning, "Health", example)


def _unready() -> Part:
    answer = _health_answer("It cannot; or how it is cannot be told, as at `/health`.")
    answer["content"]["application/json"]["schema"] = {"oneOf": [_ref("Health"), _ref("BatchRefusal")]}
    return answer


def _unknown_health() -> Part:
    return _refused("BatchRefusal", "It does, but how it is cannot be told: its log says why.", 503, "unavailable")


def _answer(meaning: str, shape: str, example: Part) -> Part:
    return {"description": meaning, "content": {"application/json": {"schema": _ref(shape), "example": example}}}


def _refused(shape: str, meaning: str, status: int, code: str) -> Part:
    error = {
        "message": meaning,
        "code": code,
        "details": None,
        "errors": [{"message": meaning, "code": status}],
    }
    if shape == "BatchRefusal":
        return _answer(meaning, shape, {"request_id": _REQUEST_ID, **error})
    rule = INVALID_KEY if code == INVALID_KEY else None
    undecided = {
        **EXAMPLE_ANSWER,
        "allowed": False,
        **dict.fromkeys(("reason", "blocked_rule", "rule"), rule),
        "identity": dict.fromkeys(IDENTITY_FIELDS),
        "permissions": [],
        "metadata": {},
        "rate_limits": [],
        "headers": {},
        "retry_after": RETRY_SECONDS if status == 503 else None,
        "stale_ms": 15_040 if code == "stale" else None,
    }
    return _answer(meaning, shape, {**undecided, **error})


def _ref(shape: str) -> Part:
    return {"$ref": f"#/components/schemas/{shape}"}
