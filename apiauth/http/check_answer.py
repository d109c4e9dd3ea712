"""Writes the answer to a check: always the full shape, whatever the status.

What only a key's and its app's rows decide is written once and kept with the key; the rest of
an answer is its id, its counts and its age.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
import structlog

from apiauth.core import clock, ids
from apiauth.core.decision import UNIDENTIFIED, UNUSABLE, Rule
from apiauth.core.errors import KeysteadError
from apiauth.core.metadata import without_reserved
from apiauth.http.limit_fields import Templates, counts, entries, header_fields, templates
from apiauth.verify.check import Outcome, Stale
from apiauth.verify.entries import UNREADABLE, Key
from apiauth.verify.limiter import Claim
from apiauth.verify.prepared import Prepared

IDENTITY_FIELDS = (
    "key_id",
    "deployment_id",
    "app_slug",
    "key_name",
    "owner_user_id",
    "organization_id",
    "workspace_id",
    "organization_membership_id",
    "workspace_membership_id",
)
NOBODY: dict[str, str | None] = dict.fromkeys(IDENTITY_FIELDS)
INVALID_KEY = "invalid_key"
SENTENCES = {
    Rule.APP_DISABLED: "The app of this key is disabled.",
    Rule.KEY_REVOKED: "This key has been revoked.",
    Rule.KEY_DISABLED: "This key is disabled.",
    Rule.KEY_ROTATED_OUT: "This key has been rotated, and its overlap has ended.",
    Rule.KEY_EXPIRED: "This key has expired.",
    Rule.ROTATION_OVERDUE: "This key is overdue for rotation.",
}
_NOT_PERMITTED = frozenset({Rule.IP_NOT_ALLOWED, Rule.RESOURCE_NOT_ALLOWED})
RETRY_SECONDS = 1  # the snapshot is read again sooner than that

_HEADER_SAFE = " !#$&'()*+-./:;<>?@[]^_`{|}~"
_encode = msgspec.json.encode
_read_metadata = msgspec.json.Decoder(dict[str, Any]).decode

log = structlog.get_logger(__name__)


class _Rendered(msgspec.Struct, gc=False):
    """What stays the same in an allowed answer from call to call, with `%` where a number goes."""

    before_limits: bytes
    before_headers: bytes
    whole: bytes | None
    """The template of every call, where its limits are the same each time; the parts are empty then."""
    limits: Templates | None
    """Those of the limits in it."""


def answer(outcome: Outcome) -> tuple[int, bytes]:
    """Return the status and the body for a recorded decision."""
    if outcome.rule is None:
        return 200, _allowed(outcome)
    return _blocked(outcome, outcome.rule)


def batch_answer(outcomes: Iterable[Outcome]) -> bytes:
    """Return the body for the recorded decisions of a batch: each as the single answer, with its status."""
    decisions = (b'%b,"status":%d}' % (body.removesuffix(b"}"), status) for status, body in map(answer, outcomes))
    return b'{"decisions":[%b]}' % b",".join(decisions)


def refusal(error: KeysteadError) -> bytes:
    """Return the body for a check that came to no decision."""
    request_id = ids.request_id(ids.new_decision_id(clock.now_ms()))
    known = {
        "retry_after": RETRY_SECONDS if error.status == 503 else None,
        "stale_ms": error.stale_ms if isinstance(error, Stale) else None,
    }
    return _encode(
        {
            **_shape(request_id, allowed=False, **known),
            **_error(error.message, error.code, error.status, error.field),
        }
    )


def plain_refusal(error: KeysteadError) -> bytes:
    """Return the body of a refusal that is about no check."""
    request_id = ids.request_id(ids.new_decision_id(clock.now_ms()))
    return _encode({"request_id": request_id, **_error(error.message, error.code, error.status, error.field)})


def _error(message: str, code: str, status: int, field: str | None) -> dict[str, Any]:
    entry = {"message": message, "code": status}
    if field is not None:
        entry["field"] = field
    return {"message": message, "code": code, "details": {"field": field} if field else None, "errors": [entry]}


def _shape(request_id: str, **known: Any) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "allowed": False,
        "reason": None,
        "blocked_rule": None,
        "rule": None,
        "identity": NOBODY,
        "permissions": [],
        "metadata": {},
        "rate_limits": [],
        "retry_after": None,
        "headers": {},
        "stale_ms": None,
        **known,
    }


def _allowed(outcome: Outcome) -> bytes:
    prepared = outcome.prepared
    assert prepared is not None
    rendered = prepared.rendered
    if not isinstance(rendered, _Rendered):
        assert outcome.key is not None
        rendered = prepared.rendered = _render(outcome.key, prepared, outcome.claims)
    template, limits = rendered.whole, rendered.limits
    if template is None or limits is None:
        limits = _templates(outcome.claims)
        template = _whole(rendered.before_limits, rendered.before_headers, limits)
    number = outcome.number
    if not outcome.left:
        return template % (number, outcome.stale_ms)
    return template % (number, *counts(limits, outcome.left, number >> 80), outcome.stale_ms)


def _render(key: Key, prepared: Prepared, claims: tuple[Claim, ...]) -> _Rendered:
    metadata = without_reserved(_metadata(key))
    permissions = sorted(key.permissions)
    identity = _encode(_identity(key, prepared))
    headers = _encode(_forwarded(key, prepared, permissions, metadata))
    before_limits = (
        b'"allowed":true,"reason":null,"blocked_rule":null,"rule":null,"identity":%b,"permissions":%b,"metadata":%b'
        b',"rate_limits":[' % (identity, _encode(permissions), _encode(metadata))
    ).replace(b"%", b"%%")
    before_headers = b'],"retry_after":null,"headers":%b' % headers.removesuffix(b"}").replace(b"%", b"%%")
    if prepared.is_by_path:
        return _Rendered(before_limits, before_headers, None, None)
    limits = _templates(claims)  # other calls count by the same rules
    return _Rendered(b"", b"", _whole(before_limits, before_headers, limits), limits)


def _metadata(key: Key) -> dict[str, Any]:
    """Return a key's metadata; none where nobody can read it: the decision is on record already, and has to be told."""
    try:
        return _read_metadata(key.metadata)
    except UNREADABLE:
        log.exception("check_answer.unreadable_metadata", key_id=key.id)
        return {}


def _templates(claims: tuple[Claim, ...]) -> Templates:
    return templates(tuple([claim.rule for claim in claims]))


def _whole(before_limits: bytes, before_headers: bytes, limits: Templates) -> bytes:
    return b'{"request_id":"req_%%032x",%b%b%b%b%b},"stale_ms":%%d}' % (
        before_limits, limits.entries, before_headers, b"," if limits.fields else b"", limits.fields,
    )  # fmt: skip


def _identity(key: Key, prepared: Prepared) -> dict[str, str | None]:
    user_id, organization_id, workspace_id = _owner(key, prepared)
    return {
        **NOBODY,
        "key_id": str(key.id),
        "deployment_id": str(key.deployment_id),
        "app_slug": prepared.app.slug,
        "key_name": key.name,
        "owner_user_id": user_id,
        "organization_id": organization_id,
        "workspace_id": workspace_id,
    }


def _owner(key: Key, prepared: Prepared) -> tuple[str | None, str | None, str | None]:
    """Return the user, organization and workspace that a key belongs to: its own, as sessions are told, else its app's.

    They are taken together: a user of one organization must not look like one of another.
    """
    app = prepared.app
    return key.owner or (app.user_id, app.organization_id, app.workspace_id)


def _forwarded(key: Key, prepared: Prepared, permissions: list[str], metadata: dict[str, Any]) -> dict[str, str]:
    """Return the headers for the caller to pass on: values that can break out of none."""
    _, organization_id, workspace_id = _owner(key, prepared)
    headers = {
        "x-wacht-key-id": str(key.id),
        "x-wacht-deployment-id": str(key.deployment_id),
        "x-wacht-app-slug": prepared.app.slug,
        "x-wacht-key-name": _header_value(key.name),
    }
    if organization_id is not None:
        headers["x-wacht-organization-id"] = _header_value(organization_id)
    if workspace_id is not None:
        headers["x-wacht-workspace-id"] = _header_value(workspace_id)
    if permissions:
        headers["x-wacht-permissions"] = ",".join(permissions)
    if metadata:
        headers["x-wacht-metadata"] = ",".join(
            f"{_header_value(name)}={_header_value(_plain(value))}" for name, value in metadata.items()
        )
    return headers


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else _encode(value).decode()


def _header_value(text: str) -> str:
    """Return text percent-encoded where it is not plain ASCII, or would end a value, a pair or a header."""
    return quote(text, safe=_HEADER_SAFE)


def _blocked(outcome: Outcome, rule: Rule) -> tuple[int, bytes]:
    """Return the answer of a blocked check: no permissions, and no headers but those of limits."""
    public = INVALID_KEY if rule in UNIDENTIFIED else rule.value
    body = _shape(
        ids.request_id(UUID(int=outcome.number)),
        reason=_reason(rule, public),
        blocked_rule=outcome.blocked_by if rule is Rule.RATE_LIMITED else public,
        rule=public,
        rate_limits=entries(outcome.limits),
        retry_after=outcome.retry_after,
        headers=_limit_headers(outcome),
        stale_ms=outcome.stale_ms,
    )
    if outcome.key is not None and outcome.prepared is not None:
        body["identity"] = _identity(outcome.key, outcome.prepared)
    if rule not in UNIDENTIFIED and rule not in UNUSABLE:
        return 200, _encode(body)
    message = SENTENCES.get(rule, "This key is not valid.")
    return 401, _encode({**body, **_error(message, public, 401, None)})


def _reason(rule: Rule, public: str) -> str:
    return Rule.PERMISSION_DENIED.value if rule in _NOT_PERMITTED else public


def _limit_headers(outcome: Outcome) -> dict[str, str]:
    headers = header_fields(outcome.limits, outcome.number >> 80)
    if outcome.denied_limit is not None:
        headers[f"x-ratelimit-{outcome.denied_limit.window}-reset"] = str(outcome.retry_after)
    return headers
