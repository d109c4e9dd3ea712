"""The calls to the backend API besides those about keys: apps, subjects, rate-limit schemes, tickets.

Each function says what to ask; `Keystead` and `AsyncKeystead` have a method for each that asks it.
`wait_seconds` is as with keys.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Unpack

from keystead_client import results
from keystead_client.calls import (
    Call,
    app_path,
    creating,
    if_match_header,
    moment_text,
    nothing,
    query_of,
    quoted,
    reader,
    rules_json,
    segment,
    tagged,
)
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


def update_app(
    app_slug: str, *, if_match: str | None = None, wait_seconds: int | None = None, **changes: Unpack[AppChanges]
) -> Call[results.App]:
    """Change an app: what is absent stays, None clears. With `if_match`, raises ChangedMeanwhile if it changed."""
    headers, read = if_match_header(if_match), tagged(results.App)
    return Call("PATCH", app_path(app_slug), read, body=_as_json(changes), headers=headers, wait_seconds=wait_seconds)


def preview_policy(
    app_slug: str,
    *,
    policy: Mapping[str, Any],
    policy_applies_at: datetime | None = None,
    limit: int = 100,
    cursor: str | None = None,
) -> Call[results.PolicyImpact]:
    """Tell which keys a policy would touch, a page at a time: now, or from a later moment on. Changes nothing.

    Go on with the `next_cursor` of the page before, and the same policy and moment.
    """
    body = without_absent({"policy": policy, "policy_applies_at": moment_text(policy_applies_at)})
    path, query = f"{app_path(app_slug)}/policy/impact", query_of(limit=limit, cursor=cursor)
    return Call("POST", path, reader(results.PolicyImpact), query=query, body=body, may_repeat=True)


def delete_app(app_slug: str, *, wait_seconds: int | None = None) -> Call[results.Propagated]:
    """Delete an app; its keys stop at the gateway."""
    return Call("DELETE", app_path(app_slug), reader(results.Propagated), wait_seconds=wait_seconds)


def remove_subject(app_slug: str, subject_id: str, *, wait_seconds: int | None = None) -> Call[results.RemovedSubject]:
    """End a user's sessions in an app, and revoke their keys where the app's policy says so.

    Raises NotFound for a subject that the app never knew.
    """
    path = f"{app_path(app_slug)}/subjects/{quoted(subject_id, 'subject_id')}"
    return Call("DELETE", path, reader(results.RemovedSubject), wait_seconds=wait_seconds)


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
    body["rules"] = rules_json(rules)
    return creating("/api-auth/rate-limit-schemes", body, reader(results.RateLimitScheme), idempotency_key)


def get_scheme(slug: str) -> Call[results.RateLimitScheme]:
    """Return one rate-limit scheme, with its ETag."""
    return Call("GET", _scheme(slug), tagged(results.RateLimitScheme), may_repeat=True)


def update_scheme(
    slug: str, *, if_match: str | None = None, wait_seconds: int | None = None, **changes: Unpack[SchemeChanges]
) -> Call[results.RateLimitScheme]:
    """Change a rate-limit scheme, as `update_app` changes an app. A rule with its `id` goes on counting."""
    body: dict[str, Any] = dict(changes)
    if "rules" in changes:
        body["rules"] = rules_json(changes["rules"])
    headers, read = if_match_header(if_match), tagged(results.RateLimitScheme)
    return Call("PATCH", _scheme(slug), read, body=body, headers=headers, wait_seconds=wait_seconds)


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


def _scheme(slug: str) -> str:
    return f"/api-auth/rate-limit-schemes/{segment(slug, 'slug')}"


def _as_json(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with lists for tuples and texts for moments, as JSON has them."""
    return {name: _json_value(value) for name, value in options.items()}


def _json_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return moment_text(value)
    return list(value) if isinstance(value, tuple) else value


def _schemes(answer: Answer) -> tuple[results.RateLimitScheme, ...]:
    return read_as(results.SchemeList, json_object(answer)).schemes
