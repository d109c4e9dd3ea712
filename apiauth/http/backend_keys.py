"""Keys, for products' backends."""

from ninja import Router

from apiauth.core.errors import KeyAlreadyRevoked, KeyNotActive
from apiauth.core.ids import parse_id
from apiauth.http.auth import BackendAccess, BackendRequest
from apiauth.http.backend_api import as_not_found
from apiauth.http.bodies import KeyCreate, KeyRevoke, KeyRotate
from apiauth.http.idempotency import repeatable
from apiauth.http.openapi.describe import answers
from apiauth.http.openapi.links import KEY_LINKS
from apiauth.http.prefer import may_wait
from apiauth.http.value_types import FlagText
from apiauth.http.values import flag, moment, overlap
from apiauth.http.wire import (
    IssuedKeyJson,
    KeyListJson,
    NewKeyJson,
    PropagatedJson,
    RotatedKeyJson,
    issued_key_json,
    key_json,
    key_list_json,
)
from apiauth.models import App, Key
from apiauth.services import apps, key_values, keys

router = Router()


@router.get("/api-auth/apps/{app_slug}/keys", auth=BackendAccess("apps:read"))
@answers(KeyListJson, 404)
def list_keys(request: BackendRequest, app_slug: str, include_inactive: FlagText | None = None) -> KeyListJson:
    """List an app's keys, newest first; ended ones only where asked for."""
    app, now = _app(request, app_slug), request.auth.now
    rows = Key.objects.in_app(app.id).newest_first()
    if not flag(include_inactive, "include_inactive"):
        rows = rows.not_ended(now)
    return {"keys": key_list_json(rows, app, now=now)}


@router.post("/api-auth/apps/{app_slug}/keys", auth=BackendAccess("keys:write"))
@answers(NewKeyJson, 404, links=KEY_LINKS)
@may_wait
@repeatable
def create_key(request: BackendRequest, app_slug: str, body: KeyCreate) -> IssuedKeyJson:
    """Make a key; its secret is in this answer alone."""
    app_id, caller = _app_id(request, app_slug), request.auth
    fields = body.given()
    if "expires_at" in fields:
        fields["expires_at"] = moment(fields["expires_at"], "expires_at")
    owner = key_values.owner({name: fields.pop(name, None) for name in ("user_id", "organization_id", "workspace_id")})
    issued = keys.create_key(app_id=app_id, **fields, owner=owner, actor=caller.actor, now=caller.now)
    return issued_key_json(key_json(issued.key, issued.key.app, now=caller.now), issued.secret)


@router.post("/api-auth/apps/{app_slug}/keys/{key_id}/rotate", auth=BackendAccess("keys:write"))
@answers(RotatedKeyJson, 404, links=KEY_LINKS)
@may_wait
@repeatable
def rotate_key(request: BackendRequest, app_slug: str, key_id: str, body: KeyRotate = KeyRotate()) -> IssuedKeyJson:  # noqa: B008  # ninja reads the default off the signature; it is never changed
    """Replace a key; the old one ends at once, or after `overlap_seconds`."""
    app_id, caller = _app_id(request, app_slug), request.auth
    try:
        issued = keys.rotate_key(
            app_id=app_id,
            key_id=parse_id(key_id) or 0,
            overlap=overlap(body.overlap_seconds),
            actor=caller.actor,
            now=caller.now,
        )
    except KeyNotActive as problem:
        raise as_not_found(problem) from None
    return issued_key_json(key_json(issued.key, issued.key.app, now=caller.now), issued.secret)


@router.post("/api-auth/apps/{app_slug}/keys/{key_id}/revoke", auth=BackendAccess("keys:write"))
@answers(PropagatedJson, 404)
@may_wait
def revoke_key(request: BackendRequest, app_slug: str, key_id: str, body: KeyRevoke = KeyRevoke()) -> PropagatedJson:  # noqa: B008  # ninja reads the default off the signature; it is never changed
    """End a key for good."""
    app_id, caller = _app_id(request, app_slug), request.auth
    try:
        keys.revoke_key(
            app_id=app_id,
            key_id=parse_id(key_id) or 0,
            reason=body.reason or "",
            actor=caller.actor,
            now=caller.now,
        )
    except KeyAlreadyRevoked as problem:
        raise as_not_found(problem) from None
    return {}


def _app(request: BackendRequest, slug: str) -> App:
    return apps.find_app(deployment_id=request.auth.deployment_id, slug=slug)


def _app_id(request: BackendRequest, slug: str) -> int:
    return apps.find_app_id(deployment_id=request.auth.deployment_id, slug=slug)
