"""Apps on the wire."""

from collections.abc import Iterable
from typing import Any, NotRequired, cast

from typing_extensions import TypedDict

from apiauth.core.environment import Environment
from apiauth.core.roles import Role
from apiauth.http.wire.limits import LimitRuleJson, limits_of
from apiauth.http.wire.moments import MomentText, moment_json, moment_or_null
from apiauth.http.wire.propagation import PropagatedJson
from apiauth.models import App


class PermissionDetailJson(TypedDict):
    """What one permission is for, as the portal shows it."""

    description: str
    group: str


class AppJson(TypedDict):
    """One app, for the product's backend."""

    id: str
    deployment_id: str
    app_slug: str
    name: str
    key_prefix: str
    environment: Environment | None
    description: str | None
    is_active: bool
    permissions: list[str]
    permission_details: dict[str, PermissionDetailJson]
    permission_presets: dict[str, list[str]]
    resources: list[str]
    rate_limits: list[LimitRuleJson]
    rate_limit_scheme_slug: NotRequired[str]
    user_id: NotRequired[str]
    organization_id: NotRequired[str]
    workspace_id: NotRequired[str]
    default_role: Role
    default_overlap_seconds: int
    policy: dict[str, Any]
    return_url: str
    test_url: str
    docs_url: str
    created_at: MomentText
    updated_at: MomentText
    deleted_at: MomentText | None


class NewAppJson(AppJson):
    """An app that was just made, by this call or by the one that it repeats."""

    replayed: NotRequired[bool]


class ChangedAppJson(AppJson, PropagatedJson):
    """An app that was changed, and whether that is in force."""


class AppListJson(TypedDict):
    """A page of apps, under both names that clients look for."""

    data: list[AppJson]
    apps: list[AppJson]
    has_more: bool
    limit: int
    offset: int
    total: int


def app_json(app: App) -> AppJson:
    """Return one app for the backend API."""
    shape: AppJson = {
        "id": str(app.id),
        "deployment_id": str(app.deployment_id),
        "app_slug": app.slug,
        "name": app.name,
        "key_prefix": app.key_prefix,
        "environment": app.environment,
        "description": app.description,
        "is_active": app.is_active,
        "permissions": app.permissions,
        "permission_details": app.permission_details,
        "permission_presets": app.permission_presets,
        "resources": app.resources,
        "rate_limits": limits_of(app),
        "default_role": cast("Role", app.default_role),  # a text from the database; its constraint holds it to a role
        "default_overlap_seconds": app.default_overlap_seconds,
        "policy": app.policy.document(),
        "return_url": app.return_url,
        "test_url": app.test_url,
        "docs_url": app.docs_url,
        "created_at": moment_json(app.created_at),
        "updated_at": moment_json(app.updated_at),
        "deleted_at": moment_or_null(app.deleted_at),
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


def app_list_json(apps: Iterable[App], *, total: int, limit: int, offset: int) -> AppListJson:
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
