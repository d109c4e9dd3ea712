"""The clients' field names and shapes: what leaves by a JSON door. Named here and nowhere else."""

import base64
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Concatenate, NotRequired, ParamSpec, TypedDict, TypeVar
from urllib.parse import urlsplit

from django.http import HttpRequest

from apiauth.core.limits import LimitRule, load_rules
from apiauth.core.secrets import NewSecret
from apiauth.models import App, Key, KeyStatus, KeyUsage, RateLimitScheme, Session
from apiauth.services.tickets import IssuedTicket

Parameters = ParamSpec("Parameters")
RequestType = TypeVar("RequestType", bound=HttpRequest)
_INACTIVE = (KeyStatus.REVOKED, KeyStatus.DISABLED, KeyStatus.ROTATED_OUT)
_OMITTED_IN_BROWSER = ("expires_at", "last_used_at", "revoked_at", "revoked_reason")


class RuleJson(TypedDict):
    """One rule of a rate-limit scheme; without `endpoints` it holds for all paths."""

    id: str
    unit: str
    duration: int
    max_requests: int
    mode: str
    endpoints: NotRequired[list[str]]
    priority: int


class AppJson(TypedDict):
    """One app, for the product's backend."""

    id: str
    deployment_id: str
    app_slug: str
    name: str
    key_prefix: str
    description: str | None
    is_active: bool
    permissions: list[str]
    resources: list[str]
    rate_limits: list[RuleJson]
    rate_limit_scheme_slug: NotRequired[str]
    user_id: NotRequired[str]
    organization_id: NotRequired[str]
    workspace_id: NotRequired[str]
    default_role: str
    default_overlap_seconds: int
    return_url: str
    test_url: str
    created_at: str
    updated_at: str
    deleted_at: str | None


class KeyJson(TypedDict):
    """One key. `is_active` says that nobody has ended it; `expires_at` may still have passed."""

    id: str
    deployment_id: str
    app_slug: str
    name: str
    key_prefix: str
    key_suffix: str
    permissions: list[str]
    metadata: dict[str, Any]
    rate_limits: list[RuleJson]
    org_role_permissions: list[str]
    workspace_role_permissions: list[str]
    allowed_cidrs: list[str]
    status: str
    lineage_id: str
    replaced_by: str | None
    overlap_ends_at: str | None
    expires_at: str | None
    last_used_at: str | None
    is_active: bool
    created_at: str
    updated_at: str
    revoked_at: str | None
    revoked_reason: str | None


class SchemeJson(TypedDict):
    """One rate-limit scheme."""

    id: str
    deployment_id: str
    slug: str
    name: str
    description: str | None
    rules: list[RuleJson]
    created_at: str
    updated_at: str


def moment_json(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC, with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _moment_or_null(moment: datetime | None) -> str | None:
    return moment_json(moment) if moment else None


def rules_json(rules: Iterable[LimitRule]) -> list[RuleJson]:
    """Return rules as the clients read them."""
    return [_rule_json(rule) for rule in rules]


def _rule_json(rule: LimitRule) -> RuleJson:
    shape: RuleJson = {
        "id": rule.id,
        "unit": rule.unit.value,
        "duration": rule.duration,
        "max_requests": rule.max_requests,
        "mode": rule.mode.value,
        "priority": rule.priority,
    }
    if rule.endpoints is not None:
        shape["endpoints"] = list(rule.endpoints)
    return shape


def _limits_of(app: App) -> list[RuleJson]:
    return rules_json(load_rules(app.rate_limit_scheme.rules)) if app.rate_limit_scheme else []


def app_json(app: App) -> AppJson:
    """Return one app for the backend API."""
    shape: AppJson = {
        "id": str(app.id),
        "deployment_id": str(app.deployment_id),
        "app_slug": app.slug,
        "name": app.name,
        "key_prefix": app.key_prefix,
        "description": app.description,
        "is_active": app.is_active,
        "permissions": app.permissions,
        "resources": app.resources,
        "rate_limits": _limits_of(app),
        "default_role": app.default_role,
        "default_overlap_seconds": app.default_overlap_seconds,
        "return_url": app.return_url,
        "test_url": app.test_url,
        "created_at": moment_json(app.created_at),
        "updated_at": moment_json(app.updated_at),
        "deleted_at": _moment_or_null(app.deleted_at),
    }
    if app.rate_limit_scheme:
        shape["rate_limit_scheme_slug"] = app.rate_limit_scheme.slug
    if app.user_id is not None:
        shape["user_id"] = app.user_id
    if app.organization_id is not None:
        shape["organization_id"] = app.organization_id
    if app.workspace_id is not None:
        shape["workspace_id"] = app.workspace_id
    return shape


def app_list_json(apps: Iterable[App], *, total: int, limit: int, offset: int) -> dict[str, Any]:
    """Return a page of apps under both names that clients look for."""
    page = [app_json(app) for app in apps]
    return {
        "data": page,
        "apps": page,
        "has_more": offset + len(page) < total,
        "limit": limit,
        "offset": offset,
        "total": total,
    }


def key_json(key: Key, app: App, *, now: datetime, usage: KeyUsage | None = None) -> KeyJson:
    """Return one key as the backend API shows it; the end of its overlap counts as its revocation."""
    status = key.status(now)
    is_rotated_out = key.overlap_ends_at is not None and key.overlap_ends_at <= now
    rotated_at, rotated_reason = (key.overlap_ends_at, "Rotated") if is_rotated_out else (None, None)
    return {
        "id": str(key.id),
        "deployment_id": str(key.deployment_id),
        "app_slug": app.slug,
        "name": key.name,
        "key_prefix": key.key_prefix,
        "key_suffix": key.key_suffix,
        "permissions": key.permissions,
        "metadata": key.metadata,
        "rate_limits": _limits_of(app),
        "org_role_permissions": [],
        "workspace_role_permissions": [],
        "allowed_cidrs": key.allowed_cidrs,
        "status": status.value,
        "lineage_id": str(key.lineage_id),
        "replaced_by": str(key.replaced_by_id) if key.replaced_by_id else None,
        "overlap_ends_at": _moment_or_null(key.overlap_ends_at),
        "expires_at": _moment_or_null(key.expires_at),
        "last_used_at": _moment_or_null(usage.last_used_at if usage else None),
        "is_active": status not in _INACTIVE,
        "created_at": moment_json(key.created_at),
        "updated_at": moment_json(key.updated_at),
        "revoked_at": _moment_or_null(key.revoked_at or rotated_at),
        "revoked_reason": key.revoked_reason if key.revoked_at else rotated_reason,
    }


def key_list_json(keys: Iterable[Key], app: App, *, now: datetime) -> list[KeyJson]:
    """Return keys with the moment each was last used."""
    rows = list(keys)
    usages = KeyUsage.objects.in_bulk([key.id for key in rows])
    return [key_json(key, app, now=now, usage=usages.get(key.id)) for key in rows]


def without_nulls(key: Mapping[str, Any]) -> dict[str, Any]:
    """Return a key for the browser, where absent moments are left out."""
    return {name: value for name, value in key.items() if value is not None or name not in _OMITTED_IN_BROWSER}


def issued_key_json(key: Mapping[str, Any], secret: NewSecret) -> dict[str, Any]:
    """Return a new key, flat and under `key`, with its secret: the one answer that holds it."""
    return {**key, "key": dict(key), "secret": secret.text}


def scheme_json(scheme: RateLimitScheme) -> SchemeJson:
    """Return one rate-limit scheme."""
    return {
        "id": str(scheme.id),
        "deployment_id": str(scheme.deployment_id),
        "slug": scheme.slug,
        "name": scheme.name,
        "description": scheme.description,
        "rules": rules_json(load_rules(scheme.rules)),
        "created_at": moment_json(scheme.created_at),
        "updated_at": moment_json(scheme.updated_at),
    }


def ticket_json(issued: IssuedTicket) -> dict[str, str | int]:
    """Return a ticket; its end is in Unix seconds."""
    return {"ticket": issued.text, "expires_at": int(issued.row.expires_at.timestamp()), "url": issued.url}


def envelope(data: Any) -> dict[str, Any]:
    """Wrap what the browser session API answers with."""
    return {"status": 200, "message": "", "data": data, "session": None, "errors": None}


def wrapped(
    operation: Callable[Concatenate[RequestType, Parameters], Any],
) -> Callable[Concatenate[RequestType, Parameters], dict[str, Any]]:
    """Let an operation return its data alone, and its door answer with the envelope."""

    @wraps(operation)
    def enveloped(request: RequestType, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> dict[str, Any]:
        return envelope(operation(request, *args, **kwargs))

    return enveloped


def session_json(session: Session, *, ends_at: datetime) -> dict[str, Any]:
    """Return a session, what it may do at most, and its app, for the browser."""
    app = session.app
    shape = {
        "id": str(app.id),
        "app_slug": app.slug,
        "name": app.name,
        "key_prefix": app.key_prefix,
        "is_active": app.is_active,
        "rate_limits": _limits_of(app),
        "permissions": app.permissions,
        "default_overlap_seconds": app.default_overlap_seconds,
    }
    if app.description is not None:
        shape["description"] = app.description
    return {
        "session_id": str(session.id),
        "subject": {"id": session.subject_id, "name": session.subject_name, "email": session.subject_email},
        "role": session.role,
        "permissions": session.permissions,
        "longest_expiry_days": session.longest_expiry_days,
        "key_cap": session.key_cap,
        "return_url": session.return_url,
        "theme": session.theme,
        "locale": session.locale,
        "ends_at": moment_json(ends_at),
        "api_auth_app": shape,
    }


def installation_json(public_url: str) -> dict[str, Any]:
    """Return what a browser needs to know before it has a session: facts of the installation, of no deployment."""
    return {
        "mode": "production",
        "backend_host": public_url,
        "frontend_host": urlsplit(public_url).netloc,
        "publishable_key": f"pk_live_{base64.b64encode(public_url.encode()).decode()}",
        "maintenance_mode": False,
        "ui_settings": {"theme_tokens": {}},
        "auth_settings": {},
        "b2b_settings": {},
        "restrictions": {},
        "social_connections": [],
    }
