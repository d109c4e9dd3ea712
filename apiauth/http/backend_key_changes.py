"""Changes to a key in place, for products' backends: what it may do, off and on, and what was done too early."""

from typing import Any

from django.http import HttpResponse
from ninja import Router

from apiauth.core.ids import parse_id
from apiauth.http.auth import BackendAccess, BackendRequest
from apiauth.http.bodies import KeyOverlap, KeySwitch, KeyUpdate
from apiauth.http.etags import etag, seen
from apiauth.http.openapi.describe import answers, reads_header
from apiauth.http.prefer import may_wait
from apiauth.http.values import moment
from apiauth.http.wire import ChangedKeyJson, KeyJson, key_json
from apiauth.models import Key
from apiauth.services import apps, key_edits, keys

router = Router()
_ADDRESS = "/api-auth/apps/{app_slug}/keys/{key_id}"


@router.patch(_ADDRESS, auth=BackendAccess("keys:write"))
@answers(ChangedKeyJson, 404, 409, 412, headers=["ETag"])
@reads_header("If-Match")
@may_wait
def update_key(request: BackendRequest, app_slug: str, key_id: str, body: KeyUpdate, response: HttpResponse) -> KeyJson:
    """Change the fields that were sent; with `If-Match`, only what the caller has seen."""
    changes = body.sent()
    if changes.get("expires_at") is not None:
        changes["expires_at"] = moment(changes["expires_at"], "expires_at")
    key = key_edits.edit_key(changes=changes, seen=seen(request), **_where(request, app_slug, key_id))
    response["ETag"] = etag(key.updated_at)
    return _shown(request, key)


@router.post(f"{_ADDRESS}/disable", auth=BackendAccess("keys:write"))
@answers(ChangedKeyJson, 404, 409)
@may_wait
def disable_key(request: BackendRequest, app_slug: str, key_id: str, body: KeySwitch = KeySwitch()) -> KeyJson:  # noqa: B008  # ninja reads the default off the signature; it is never changed
    """Block a key until it is enabled again."""
    return _shown(request, keys.disable_key(reason=body.reason or "", **_where(request, app_slug, key_id)))


@router.post(f"{_ADDRESS}/enable", auth=BackendAccess("keys:write"))
@answers(ChangedKeyJson, 404, 409)
@may_wait
def enable_key(request: BackendRequest, app_slug: str, key_id: str, body: KeySwitch = KeySwitch()) -> KeyJson:  # noqa: B008  # ninja reads the default off the signature; it is never changed
    """Let a disabled key through again."""
    return _shown(request, keys.enable_key(reason=body.reason or "", **_where(request, app_slug, key_id)))


@router.post(f"{_ADDRESS}/undo-revoke", auth=BackendAccess("keys:write"))
@answers(ChangedKeyJson, 404, 409)
@may_wait
def undo_revoke(request: BackendRequest, app_slug: str, key_id: str) -> KeyJson:
    """Take a revoke back, for as long as the app's policy lets it; the same secret works again."""
    return _shown(request, keys.undo_revoke(**_where(request, app_slug, key_id)))


@router.post(f"{_ADDRESS}/change-overlap", auth=BackendAccess("keys:write"))
@answers(ChangedKeyJson, 404, 409)
@may_wait
def change_overlap(request: BackendRequest, app_slug: str, key_id: str, body: KeyOverlap) -> KeyJson:
    """Say until when the old secret of a rotated key works, 30 days after the rotation at most."""
    until = moment(body.overlap_ends_at, "overlap_ends_at")
    return _shown(request, keys.change_overlap(until=until, **_where(request, app_slug, key_id)))


@router.post(f"{_ADDRESS}/end-overlap", auth=BackendAccess("keys:write"))
@answers(ChangedKeyJson, 404, 409)
@may_wait
def end_overlap(request: BackendRequest, app_slug: str, key_id: str) -> KeyJson:
    """End the overlap of a rotated key now."""
    return _shown(request, keys.end_overlap(**_where(request, app_slug, key_id)))


def _where(request: BackendRequest, slug: str, key_id: str) -> dict[str, Any]:
    caller = request.auth
    app_id = apps.find_app_id(deployment_id=caller.deployment_id, slug=slug)
    return {"app_id": app_id, "key_id": parse_id(key_id) or 0, "actor": caller.actor, "now": caller.now}


def _shown(request: BackendRequest, key: Key) -> KeyJson:
    return key_json(key, key.app, now=request.auth.now)
