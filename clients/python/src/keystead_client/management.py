"""The calls to the backend API: apps, keys, rate-limit schemes, tickets.

Each function says what to ask; `Keystead` and `AsyncKeystead` have a method for each that asks it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Unpack

from keystead_client import results
from keystead_client.calls import (
    Call,
    app_path,
    creating,
    listed,
    moment_text,
    nothing,
    query_of,
    reader,
    segment,
    tagged,
)
from keystead_client.errors import SecretLost
from keystead_client.options import AppChanges, NewAppOptions, SchemeChanges, Subject, TicketOptions
from keystead_client.reading import read_as, without_absent
from keystead_client.wire import Answer, json_object


def list_apps(
    *, include_inactive: bool = False, search: str | None = None, limit: int = 50, offset: int = 0
) -> Call[results.AppPage]:
    """List apps, the newest first."""
    query = query_of(include_inactive=include_inactive, search=search, limit=limit, offset=offset)
    return Call("GET", "/api-auth/apps", reader(results.AppPage), query=query, may_repeat=True)


def create_app(
    app_slug: str, *, name: str, key_prefix: str, idempotency_key: str | None = None, **options: Unpack[NewAppOptions]
) -> Call[results.App]:
    """Make an app. Sent with an Idempotency-Key, yours or a new one, so that a retry makes no second."""
    body = {"app_slug": app_slug, "name": name, "key_prefix": key_prefix, **_as_json(options)}
    return creating("/api-auth/apps", body, reader(results.App), idempotency_key)


def get_app(app_slug: str) -> Call[results.App]:
    """Return one app, with its ETag."""
    return Call("GET", app_path(app_slug), tagged(results.App), may_repeat=True)


def update_app(app_slug: str, *, if_match: str | None = None, **changes: Unpack[AppChanges]) -> Call[results.App]:
    """Change an app: what is absent stays, None clears. With `if_match`, raises ChangedMeanwhile if it changed."""
    return Call("PATCH", app_path(app_slug), tagged(results.App), body=_as_json(changes), headers=_if_match(if_match))


def delete_app(app_slug: str) -> Call[None]:
    """Delete an app; its keys stop at the gateway."""
    return Call("DELETE", app_path(app_slug), nothing)


def list_keys(app_slug: str, *, include_inactive: bool = False) -> Call[tuple[results.Key, ...]]:
    """List an app's keys, the newest first; ended ones only where asked for."""
    query = query_of(include_inactive=include_inactive)
    return Call("GET", f"{app_path(app_slug)}/keys", _keys, query=query, may_repeat=True)


def create_key(
    app_slug: str,
    *,
    name: str,
    permissions: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    expires_at: datetime | None = None,
    allowed_cidrs: Sequence[str] | None = None,
    note: str | None = None,
    idempotency_key: str | None = None,
) -> Call[results.IssuedKey]:
    """Make a key; its secret is in the result, this once.

    Raises SecretLost where the answer got lost and the retry found the key made: rotate it.
    """
    body = {
        "name": name,
        "permissions": listed(permissions),
        "metadata": metadata,
        "expires_at": moment_text(expires_at),
        "allowed_cidrs": listed(allowed_cidrs),
        "note": note,
    }
    return creating(f"{app_path(app_slug)}/keys", without_absent(body), _issued_key, idempotency_key)


def rotate_key(
    app_slug: str, key_id: str, *, overlap_seconds: int | None = None, idempotency_key: str | None = None
) -> Call[results.IssuedKey]:
    """Replace a key; the old one works for `overlap_seconds` longer, the app's default unless said.

    Raises NotFound for a key that has ended, SecretLost as `create_key` does.
    """
    body = without_absent({"overlap_seconds": overlap_seconds})
    return creating(f"{_key(app_slug, key_id)}/rotate", body, _issued_key, idempotency_key)


def revoke_key(app_slug: str, key_id: str, *, reason: str | None = None) -> Call[None]:
    """End a key for good, within a second everywhere. Raises NotFound for one that is revoked already."""
    return Call("POST", f"{_key(app_slug, key_id)}/revoke", nothing, body=without_absent({"reason": reason}))


def list_schemes() -> Call[tuple[results.RateLimitScheme, ...]]:
    """List rate-limit schemes by slug."""
    return Call("GET", "/api-auth/rate-limit-schemes", _schemes, may_repeat=True)


def create_scheme(
    slug: str,
    *,
    name: str,
    rules: Sequence[results.Rule],
    description: str | None = None,
    idempotency_key: str | None = None,
) -> Call[results.RateLimitScheme]:
    """Make a rate-limit scheme."""
    body = without_absent({"slug": slug, "name": name, "description": description})
    body["rules"] = _rules(rules)
    return creating("/api-auth/rate-limit-schemes", body, reader(results.RateLimitScheme), idempotency_key)


def get_scheme(slug: str) -> Call[results.RateLimitScheme]:
    """Return one rate-limit scheme, with its ETag."""
    return Call("GET", _scheme(slug), tagged(results.RateLimitScheme), may_repeat=True)


def update_scheme(
    slug: str, *, if_match: str | None = None, **changes: Unpack[SchemeChanges]
) -> Call[results.RateLimitScheme]:
    """Change a rate-limit scheme, as `update_app` changes an app."""
    body: dict[str, Any] = dict(changes)
    if "rules" in changes:
        body["rules"] = _rules(changes["rules"])
    read = tagged(results.RateLimitScheme)
    return Call("PATCH", _scheme(slug), read, body=body, headers=_if_match(if_match))


def delete_scheme(slug: str) -> Call[None]:
    """Delete a rate-limit scheme. Raises Invalid while an app uses it."""
    return Call("DELETE", _scheme(slug), nothing)


def issue_ticket(
    app_slug: str, *, subject: Subject | None = None, role: str | None = None, **options: Unpack[TicketOptions]
) -> Call[results.Ticket]:
    """Issue a ticket for one person: check their right to manage keys before, redirect to its `url` after.

    `role` is viewer, member, admin or owner; the app's default without it. Ask when the button is
    pressed, not while a page is drawn. May be sent again without an
    Idempotency-Key: a ticket whose answer got lost opens nothing for anybody and ends in a minute.
    """
    known = without_absent({"subject": subject, "role": role})
    body = {"ticket_type": "api_auth_access", "api_auth_app_slug": app_slug, **known, **_as_json(options)}
    return Call("POST", "/session/tickets", reader(results.Ticket), body=body, may_repeat=True)


def _key(app_slug: str, key_id: str) -> str:
    return f"{app_path(app_slug)}/keys/{segment(key_id, 'key_id')}"


def _scheme(slug: str) -> str:
    return f"/api-auth/rate-limit-schemes/{segment(slug, 'slug')}"


def _if_match(etag: str | None) -> dict[str, str]:
    return {"If-Match": etag} if etag is not None else {}


def _as_json(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with lists for sequences, as JSON has them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}


def _rules(rules: Sequence[results.Rule]) -> list[dict[str, Any]]:
    return [_rule(rule) for rule in rules]


def _rule(rule: results.Rule) -> dict[str, Any]:
    known = {"unit": rule.unit, "duration": rule.duration, "max_requests": rule.max_requests, "mode": rule.mode}
    return without_absent({**known, "endpoints": listed(rule.endpoints), "priority": rule.priority})


def _keys(answer: Answer) -> tuple[results.Key, ...]:
    return read_as(results.KeyList, json_object(answer)).keys


def _schemes(answer: Answer) -> tuple[results.RateLimitScheme, ...]:
    return read_as(results.SchemeList, json_object(answer)).schemes


def _issued_key(answer: Answer) -> results.IssuedKey:
    body = json_object(answer)
    if body.get("secret") is None and body.get("replayed") is True:
        raise SecretLost(read_as(results.Key, body.get("key")))
    return read_as(results.IssuedKey, body)
