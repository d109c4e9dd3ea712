"""The schemas of the gateway's document: what a check asks, and what it is told."""

from typing import Any

import msgspec

from apiauth.core.decision import METHODS, UNIDENTIFIED, UNUSABLE, Rule
from apiauth.core.permissions import LONGEST_EXPRESSION
from apiauth.core.resource import LONGEST_RESOURCE
from apiauth.http.check_answer import IDENTITY_FIELDS, INVALID_KEY
from apiauth.http.check_request import MOST_CHECKS, MOST_REQUIREMENTS, CheckBody

Part = dict[str, Any]

REQUEST_WORDS = {
    "principal": "What was presented to your API.",
    "principal.type": "The only type there is here.",
    "principal.value": "The key as it was presented, whatever it is.",
    "resource": "The path that is asked for. Query and fragment are cut off; spellings that some router could read as "
    "another path are refused.",
    "method": "The method of the call; lower case is read too.",
    "client_ip": "The address that the call came from. Without it, the header "
    "`x-original-client-ip`, then your server's own.",
    "user_agent": "What the caller calls itself. Without it, the header `x-original-user-agent`.",
    "required_permissions": "What the call needs. Each entry has to hold, and may be an expression: names, `AND`, "
    "`OR`, parentheses.",
}
REQUEST_BOUNDS: dict[str, Part] = {
    "principal.type": {"const": "api_key"},
    "resource": {"minLength": 1, "maxLength": LONGEST_RESOURCE},
    "method": {"enum": sorted(METHODS)},
    "required_permissions": {
        "maxItems": MOST_REQUIREMENTS,
        "items": {"type": "string", "minLength": 1, "maxLength": LONGEST_EXPRESSION},
    },
}
_REQUEST_ID: Part = {
    "type": "string",
    "pattern": "^req_[0-9a-f]{32}$",
    "description": "The decision's id: give it to your caller, who can look it up in the portal.",
}


def schemas() -> Part:
    """Return every named schema."""
    return {
        "CheckBody": _request(),
        "Decision": _object("A decision.", _decision_fields()),
        "BatchBody": _batch_request(),
        "Batch": _object("The decisions, in the order of their checks.", _batch_fields()),
        "BatchRefusal": _object("Why nothing was decided.", {"request_id": _REQUEST_ID, **_error_fields()}),
        "Refusal": _object("Why the call is not let through.", {**_decision_fields(), **_error_fields()}),
        "Health": _object("How this process is.", _health_fields()),
    }


def _request() -> Part:
    """Return the request's schema: fields and types from the structs, words and bounds from here."""
    (_, found) = msgspec.json.schema_components([CheckBody], ref_template="{name}")
    return _described(found, "CheckBody", "")


def _batch_request() -> Part:
    checks = {
        "type": "array",
        "minItems": 1,
        "maxItems": MOST_CHECKS,
        "items": {"$ref": "#/components/schemas/CheckBody"},
        "description": "The checks, each as it would be asked alone.",
    }
    return _object("Several checks at once.", {"checks": checks})


def _batch_fields() -> Part:
    status = {"enum": [200, 401], "description": "The status that the check would have alone."}
    fields = {**_decision_fields(), "status": status, **_error_fields()}
    decision = {
        **_object("A decision, with its error where its status is one.", fields),
        "required": [*_decision_fields(), "status"],
    }
    return {"decisions": {"type": "array", "items": decision, "description": "A decision for each check."}}


def _described(found: dict[str, Part], name: str, place: str) -> Part:
    schema = found[name]
    fields = {field: _field(found, part, f"{place}{field}") for field, part in schema["properties"].items()}
    return {**{key: value for key, value in schema.items() if key != "title"}, "properties": fields}


def _field(found: dict[str, Part], part: Part, place: str) -> Part:
    told = {"description": REQUEST_WORDS[place], **REQUEST_BOUNDS.get(place, {})}
    if "$ref" in part:
        return {**_described(found, part["$ref"], f"{place}."), **told}
    if "anyOf" not in part:
        return {**part, **told}
    (only,) = [choice for choice in part["anyOf"] if choice != {"type": "null"}]
    return {**only, "type": [only["type"], "null"], **told}


def _object(meaning: str, fields: Part) -> Part:
    return {
        "type": "object",
        "description": meaning,
        "additionalProperties": False,
        "required": list(fields),
        "properties": fields,
    }


def _decision_fields() -> Part:
    return {
        "request_id": _REQUEST_ID,
        "allowed": {"type": "boolean", "description": "Whether the call may go on."},
        **_reason_fields(),
        "identity": _object("Whose key it is; null throughout where that is not known.", _identity_fields()),
        "permissions": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What an allowed key may do.",
        },
        "metadata": {"type": "object", "description": "What an allowed key carries."},
        **_limit_state_fields(),
        "stale_ms": {
            "type": ["integer", "null"],
            "minimum": 0,
            "description": "How old the gateway's knowledge of keys was, in milliseconds. Null in a refusal, "
            "but for `stale`; there too, where it never had any.",
        },
    }


def _reason_fields() -> Part:
    known = [rule for rule in Rule if rule not in UNIDENTIFIED]
    unusable = [rule for rule in Rule if rule in UNUSABLE]
    return {
        "reason": {
            "enum": [INVALID_KEY, *unusable, Rule.PERMISSION_DENIED, Rule.RATE_LIMITED, None],
            "description": "Why not; null where it may, or where nothing was decided.",
        },
        "blocked_rule": {
            "type": ["string", "null"],
            "description": "The rule that blocked the call, of a rate limit its text such as `60/60s`.",
        },
        "rule": {
            "enum": [INVALID_KEY, *known, None],
            "description": f"The rule that blocked the call. `{INVALID_KEY}` stands for every key that is not yours.",
        },
    }


def _limit_state_fields() -> Part:
    return {
        "rate_limits": {
            "type": "array",
            "description": "How the limits stand after this check.",
            "items": _object("A limit.", _limit_fields()),
        },
        "retry_after": {
            "type": ["integer", "null"],
            "minimum": 1,
            "description": "Seconds after which it is worth asking again.",
        },
        "headers": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "Headers to forward: of an allowed call who calls, of every call how the limits stand.",
        },
    }


def _identity_fields() -> Part:
    words = {
        "key_id": "The key.",
        "deployment_id": "The deployment of the key.",
        "app_slug": "The app of the key. Compare it with the app that you serve.",
        "key_name": "The key's name.",
        "owner_user_id": "Your user whom the key belongs to; where it names nobody, whom its app belongs to.",
        "organization_id": "The organization of the same.",
        "workspace_id": "The workspace of the same.",
        "organization_membership_id": "Always null: here for published clients.",
        "workspace_membership_id": "Always null: here for published clients.",
    }
    return {name: {"type": ["string", "null"], "description": words[name]} for name in IDENTITY_FIELDS}


def _limit_fields() -> Part:
    return {
        "rule": {"type": "string", "description": "The limit, as in `60/60s`."},
        "remaining": {"type": "integer", "minimum": 0, "description": "How many requests are left in the window."},
        "limit": {"type": "integer", "minimum": 1, "description": "How many requests the window admits."},
    }


def _error_fields() -> Part:
    problem = {
        "message": {"type": "string", "description": "A sentence for people."},
        "code": {"type": "integer", "description": "The status."},
        "field": {"type": "string", "description": "The field at fault."},
    }
    entry = {**_object("A fault.", problem), "required": ["message", "code"]}
    return {
        "message": {"type": "string", "description": "A sentence for people."},
        "code": {"type": "string", "description": "A word for programs."},
        "details": {
            "type": ["object", "null"],
            "additionalProperties": {"type": "string"},
            "description": "The field at fault, where one is.",
        },
        "errors": {"type": "array", "items": entry, "description": "The same once more, as a list."},
    }


def _health_fields() -> Part:
    return {
        "status": {"enum": ["ok", "stale", "loading", "spool_full"], "description": "Whether it can decide."},
        "stale_ms": {"type": ["integer", "null"], "minimum": 0, "description": "How old its knowledge of keys is."},
        "keys": _object("The keys in its memory.", _resident_fields()),
        "generation": {"type": "string", "description": "How far it has read the changes of keys, in its epoch."},
        "epoch": {
            "type": "integer",
            "minimum": 0,
            "description": "Which history of the database it has read: one more after each restore or failover.",
        },
        "spool": _object(
            "The room for decisions that wait for the worker.",
            {
                "used": {"type": "number", "minimum": 0, "maximum": 1, "description": "The part that is taken."},
                "reserve": {"type": "boolean", "description": "Whether what is kept for a full disk is whole."},
                "quarantined": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "Damaged pieces put aside: decisions may be missing from the log.",
                },
            },
        ),
        "limits": _object("How limits are counted.", _limits_fields()),
        "time": {"type": "string", "format": "date-time", "description": "Its clock."},
    }


def _limits_fields() -> Part:
    return {
        "mode": {"enum": ["host", "shared"], "description": "Over this host alone, or over all hosts."},
        "degraded": {
            "type": "boolean",
            "description": "Whether calls may be denied that a limit has room for, as the shared count "
            "cannot be asked.",
        },
        "since": {"type": ["string", "null"], "format": "date-time", "description": "Since when; else null."},
        "crowded_since": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "Since when calls are denied as the host has no room for another count; null where "
            "none was within the last hour.",
        },
    }


def _resident_fields() -> Part:
    return {
        "resident": {"type": "integer", "minimum": 0, "description": "How many are there."},
        "total": {"type": "integer", "minimum": 0, "description": "How many keys there are; about, in mode `recent`."},
        "mode": {
            "enum": ["all", "recent"],
            "description": "Whether all are there, or those in use: there are more than `KEYSTEAD_SNAPSHOT_KEYS`.",
        },
    }
