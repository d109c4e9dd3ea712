"""Apps, for products' backends."""

from typing import Annotated

from django.db.models import Q
from django.http import HttpResponse
from ninja import Router

from apiauth.http.auth import BackendAccess, BackendRequest
from apiauth.http.bodies import AppCreate, AppUpdate
from apiauth.http.etags import etag, seen
from apiauth.http.idempotency import repeatable
from apiauth.http.openapi.describe import answers, reads_header
from apiauth.http.openapi.links import APP_LINKS
from apiauth.http.prefer import may_wait
from apiauth.http.value_types import FlagText, clamped_number
from apiauth.http.values import clamped, flag, moment
from apiauth.http.wire import (
    AppJson,
    AppListJson,
    ChangedAppJson,
    NewAppJson,
    PropagatedJson,
    affected_keys_json,
    app_json,
    app_list_json,
)
from apiauth.models import App
from apiauth.services import apps, policies

router = Router()
_MOST_APPS = 500
_FARTHEST = 1_000_000
_LONGEST_SEARCH = 200


@router.get("/api-auth/apps", auth=BackendAccess("apps:read"))
@answers(AppListJson)
def list_apps(
    request: BackendRequest,
    include_inactive: FlagText | None = None,
    search: str | None = None,
    limit: Annotated[str, clamped_number(1, _MOST_APPS, default=50)] | None = None,
    offset: Annotated[str, clamped_number(0, _FARTHEST, default=0)] | None = None,
) -> AppListJson:
    """List the deployment's apps, newest first; paused ones only where asked for."""
    rows = App.objects.in_deployment(request.auth.deployment_id).select_related("rate_limit_scheme").newest_first()
    if not flag(include_inactive, "include_inactive"):
        rows = rows.filter(is_active=True)
    if search:
        text = search[:_LONGEST_SEARCH]
        rows = rows.filter(Q(name__icontains=text) | Q(slug__icontains=text))
    size = clamped(limit, "limit", default=50, least=1, most=_MOST_APPS)
    start = clamped(offset, "offset", default=0, least=0, most=_FARTHEST)
    return app_list_json(rows[start : start + size], total=rows.count(), limit=size, offset=start)


@router.post("/api-auth/apps", auth=BackendAccess("apps:write"))
@answers(NewAppJson, 404, links=APP_LINKS)
@repeatable
def create_app(request: BackendRequest, body: AppCreate) -> AppJson:
    """Make an app."""
    caller = request.auth
    fields = body.given()
    fields["slug"] = fields.pop("app_slug")
    app = apps.create_app(deployment_id=caller.deployment_id, fields=fields, actor=caller.actor, now=caller.now)
    return app_json(app)


@router.get("/api-auth/apps/{app_slug}", auth=BackendAccess("apps:read"))
@answers(AppJson, 404, headers=["ETag"])
def get_app(request: BackendRequest, app_slug: str, response: HttpResponse) -> AppJson:
    """Show one app, paused or not."""
    app = apps.find_app(deployment_id=request.auth.deployment_id, slug=app_slug)
    response["ETag"] = etag(app.updated_at)
    return app_json(app)


@router.patch("/api-auth/apps/{app_slug}", auth=BackendAccess("apps:write"))
@answers(ChangedAppJson, 404, 412, 422, headers=["ETag"])
@reads_header("If-Match")
@may_wait
def update_app(request: BackendRequest, app_slug: str, body: AppUpdate, response: HttpResponse) -> AppJson:
    """Change the fields that were sent; with `If-Match`, only what the caller has seen."""
    caller = request.auth
    changes = body.sent()
    applies_at = changes.pop("policy_applies_at", None)
    try:
        app = policies.edit_app(
            deployment_id=caller.deployment_id,
            slug=app_slug,
            changes=changes,
            applies_at=moment(applies_at, "policy_applies_at") if applies_at is not None else None,
            actor=caller.actor,
            now=caller.now,
            seen=seen(request),
        )
    except policies.KeysAffected as refusal:
        refusal.details = {"affected_keys": affected_keys_json(refusal)}
        raise
    response["ETag"] = etag(app.updated_at)
    return app_json(app)


@router.delete("/api-auth/apps/{app_slug}", auth=BackendAccess("apps:write"))
@answers(PropagatedJson, 404)
@may_wait
def delete_app(request: BackendRequest, app_slug: str) -> PropagatedJson:
    """Delete an app; its keys stop at the gateway."""
    caller = request.auth
    apps.delete_app(deployment_id=caller.deployment_id, slug=app_slug, actor=caller.actor, now=caller.now)
    return {}
