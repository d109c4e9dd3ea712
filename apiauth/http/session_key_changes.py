"""Changes to a key in place, for a product's own pages: what it may do, off and on, and what was done too early."""

from typing import Any

from ninja import Router

from apiauth.core.ids import parse_id
from apiauth.core.roles import Action, actions_of_edit
from apiauth.http.auth import SessionAccess, SessionRequest
from apiauth.http.forms import read_form
from apiauth.http.openapi.describe import answers, reads_form, reads_header
from apiauth.http.prefer import may_wait
from apiauth.http.session_forms import KEY_LISTS, EditForm, NoForm, OverlapForm, SwitchForm
from apiauth.http.strict_json import parse_list
from apiauth.http.values import moment
from apiauth.http.wire import BrowserKeyJson, ChangedBrowserKeyJson, EnvelopeJson, browser_key_json, key_json, wrapped
from apiauth.models import Key
from apiauth.services import key_edits, keys, sessions

router = Router()


@router.post("/api-auth/keys/{key_id}/edit", auth=SessionAccess())
@answers(EnvelopeJson[ChangedBrowserKeyJson], 404, 409)
@reads_form(EditForm)
@reads_header("Origin")
@wrapped
@may_wait
def edit_key(request: SessionRequest, key_id: str) -> BrowserKeyJson:
    """Change the fields that were sent; an empty one clears. What is more than name and note takes another action."""
    caller, form = request.auth, read_form(request, lists=KEY_LISTS)
    changes: dict[str, Any] = {name: form[name] for name in ("name", "note") if name in form}
    for name in KEY_LISTS:
        if name in form:
            changes[name] = [text for text in request.POST.getlist(name) if text]
    if "expires_at" in form:
        changes["expires_at"] = moment(form["expires_at"], "expires_at") if form["expires_at"] else None
    if "limits" in form:
        changes["limits"] = parse_list(form["limits"], "limits")
    where = _where(request, key_id, *(actions_of_edit(changes) or [Action.RENAME]))
    return _shown(request, key_edits.edit_key(changes=changes, ceiling=caller.session.ceiling, **where))


@router.post("/api-auth/keys/{key_id}/disable", auth=SessionAccess(Action.DISABLE_OWN))
@answers(EnvelopeJson[ChangedBrowserKeyJson], 404, 409)
@reads_form(SwitchForm)
@reads_header("Origin")
@wrapped
@may_wait
def disable_key(request: SessionRequest, key_id: str) -> BrowserKeyJson:
    """Block a key until it is enabled again."""
    reason = read_form(request).get("reason", "")
    return _shown(request, keys.disable_key(reason=reason, **_where(request, key_id, Action.DISABLE_OWN)))


@router.post("/api-auth/keys/{key_id}/enable", auth=SessionAccess(Action.DISABLE_OWN))
@answers(EnvelopeJson[ChangedBrowserKeyJson], 404, 409)
@reads_form(SwitchForm)
@reads_header("Origin")
@wrapped
@may_wait
def enable_key(request: SessionRequest, key_id: str) -> BrowserKeyJson:
    """Let a disabled key through again."""
    reason = read_form(request).get("reason", "")
    where = _where(request, key_id, Action.DISABLE_OWN)
    return _shown(request, keys.enable_key(reason=reason, **_bounds(request), **where))


@router.post("/api-auth/keys/{key_id}/undo-revoke", auth=SessionAccess(Action.REVOKE_OWN))
@answers(EnvelopeJson[ChangedBrowserKeyJson], 404, 409)
@reads_form(NoForm)
@reads_header("Origin")
@wrapped
@may_wait
def undo_revoke(request: SessionRequest, key_id: str) -> BrowserKeyJson:
    """Take a revoke of a session back, for as long as the app's policy lets it; the same secret works again."""
    read_form(request)
    return _shown(request, keys.undo_revoke(**_bounds(request), **_where(request, key_id, Action.REVOKE_OWN)))


@router.post("/api-auth/keys/{key_id}/change-overlap", auth=SessionAccess(Action.ROTATE_OWN))
@answers(EnvelopeJson[ChangedBrowserKeyJson], 404, 409)
@reads_form(OverlapForm)
@reads_header("Origin")
@wrapped
@may_wait
def change_overlap(request: SessionRequest, key_id: str) -> BrowserKeyJson:
    """Say until when the old secret of a rotated key works, 30 days after the rotation at most."""
    until = moment(read_form(request).get("overlap_ends_at", ""), "overlap_ends_at")
    where = _where(request, key_id, Action.ROTATE_OWN)
    return _shown(request, keys.change_overlap(until=until, ceiling=request.auth.session.ceiling, **where))


@router.post("/api-auth/keys/{key_id}/end-overlap", auth=SessionAccess(Action.ROTATE_OWN))
@answers(EnvelopeJson[ChangedBrowserKeyJson], 404, 409)
@reads_form(NoForm)
@reads_header("Origin")
@wrapped
@may_wait
def end_overlap(request: SessionRequest, key_id: str) -> BrowserKeyJson:
    """End the overlap of a rotated key now."""
    read_form(request)
    return _shown(request, keys.end_overlap(**_where(request, key_id, Action.ROTATE_OWN)))


def _where(request: SessionRequest, key_id: str, *actions: Action) -> dict[str, Any]:
    """Return the key and who acts. Raises NotFound outside the session's scope, NotAllowed beyond its role."""
    caller, number = request.auth, parse_id(key_id) or 0
    for action in actions:
        sessions.find_key(caller.session, number, action, actor=caller.actor, now=caller.now)
    return {"app_id": caller.app.id, "key_id": number, "actor": caller.actor, "now": caller.now}


def _bounds(request: SessionRequest) -> dict[str, Any]:
    session = request.auth.session
    return {"owner": session.owner, "ceiling": session.ceiling}


def _shown(request: SessionRequest, key: Key) -> BrowserKeyJson:
    caller = request.auth
    return browser_key_json(key_json(key, caller.app, now=caller.now))
