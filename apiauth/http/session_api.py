"""The browser session API: what a product's own pages call with a session's cookie."""

from contextlib import suppress
from datetime import datetime

from django.conf import settings
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Router

from apiauth.core.cookies import take_session
from apiauth.core.errors import Invalid, KeyAlreadyRevoked
from apiauth.core.ids import parse_id
from apiauth.core.roles import Action
from apiauth.http.auth import SessionAccess, SessionRequest
from apiauth.http.forms import read_form
from apiauth.http.idempotency import repeatable
from apiauth.http.openapi.describe import answers, reads_form, reads_header
from apiauth.http.prefer import may_wait
from apiauth.http.session_forms import KEY_LISTS, KeyForm, RevokeForm, RotateForm
from apiauth.http.strict_json import parse_list
from apiauth.http.value_types import FlagText
from apiauth.http.values import flag, moment, overlap, whole
from apiauth.http.wire import (
    BrowserIssuedKeyJson,
    BrowserKeyJson,
    DoneJson,
    EnvelopeJson,
    InstallationJson,
    NewBrowserKeyJson,
    RevokedJson,
    SessionJson,
    browser_key_json,
    envelope,
    installation_json,
    issued_browser_key_json,
    key_json,
    key_list_json,
    session_json,
    wrapped,
)
from apiauth.models import Key
from apiauth.models.key import KeyQuerySet
from apiauth.services import keys, sessions
from apiauth.services.keys import IssuedKey

router = Router()


@router.get("/deployment")
@answers(EnvelopeJson[InstallationJson])
def get_deployment(request: HttpRequest) -> EnvelopeJson[InstallationJson]:
    """Tell a page which installation it talks to; without a session it learns of no deployment."""
    return envelope(installation_json(settings.ENVIRONMENT.public_url))


@router.get("/api-auth/session", auth=SessionAccess())
@answers(EnvelopeJson[SessionJson])
def get_session(request: SessionRequest) -> EnvelopeJson[SessionJson]:
    """Show the session and its app."""
    session = request.auth.session
    return envelope(session_json(session, ends_at=sessions.ends_at(session)))


@router.delete("/api-auth/session", auth=SessionAccess())
@answers(EnvelopeJson[DoneJson], headers=["Set-Cookie"])
@reads_header("Origin")
def sign_out(request: SessionRequest) -> HttpResponse:
    """End the session, and take its cookie back."""
    sessions.end_session(request.auth.session, reason="signed out", now=request.auth.now, via="session_api")
    response = JsonResponse(envelope({"success": True}))
    take_session(response, request.COOKIES, is_https=settings.ENVIRONMENT.is_https)
    return response


@router.get("/api-auth/keys", auth=SessionAccess())
@answers(EnvelopeJson[list[BrowserKeyJson]])
def list_keys(
    request: SessionRequest, status: str | None = None, include_inactive: FlagText | None = None
) -> EnvelopeJson[list[BrowserKeyJson]]:
    """List the keys within the session's scope, newest first."""
    caller = request.auth
    everything = flag(include_inactive, "include_inactive")
    wanted = status or ("all" if everything else "active")
    rows = _with_status(Key.objects.within(caller.session.reach).newest_first(), wanted, caller.now)
    return envelope([browser_key_json(key) for key in key_list_json(rows, caller.app, now=caller.now)])


@router.post("/api-auth/keys", auth=SessionAccess(Action.CREATE))
@answers(EnvelopeJson[NewBrowserKeyJson], 404)
@reads_form(KeyForm)
@reads_header("Origin")
@wrapped
@may_wait
@repeatable
def create_key(request: SessionRequest) -> BrowserIssuedKeyJson:
    """Make a key within the session's ceilings; its secret is in this answer alone."""
    caller, form = request.auth, read_form(request, lists=KEY_LISTS)
    if "name" not in form:
        raise Invalid("Send name.", field="name")
    expires_at = form.get("expires_at", "")
    limits = parse_list(form.get("limits", ""), "limits")
    if limits:
        sessions.authorize(caller.session, Action.CHANGE_LIMITS, is_change=True, actor=caller.actor, now=caller.now)
    issued = keys.create_key(
        app_id=caller.app.id,
        name=form["name"],
        note=form.get("note", ""),
        permissions=request.POST.getlist("permissions"),
        allowed_cidrs=request.POST.getlist("allowed_cidrs"),
        resources=request.POST.getlist("resources"),
        limits=limits,
        expires_at=moment(expires_at, "expires_at") if expires_at else None,
        owner=caller.session.owner,
        ceiling=caller.session.ceiling,
        actor=caller.actor,
        now=caller.now,
    )
    return _issued(request, issued)


@router.post("/api-auth/keys/{key_id}/rotate", auth=SessionAccess(Action.ROTATE_OWN))
@answers(EnvelopeJson[NewBrowserKeyJson], 404, 409)
@reads_form(RotateForm)
@reads_header("Origin")
@wrapped
@may_wait
@repeatable
def rotate_key(request: SessionRequest, key_id: str) -> BrowserIssuedKeyJson:
    """Replace a key; the old one works on for `overlap_seconds`, or as long as the app says."""
    caller, form = request.auth, read_form(request)
    seconds = form.get("overlap_seconds", "")
    issued = keys.rotate_key(
        app_id=caller.app.id,
        key_id=_key(request, key_id, Action.ROTATE_OWN).id,
        overlap=overlap(whole(seconds, "overlap_seconds")) if seconds else None,
        ceiling=caller.session.ceiling,
        actor=caller.actor,
        now=caller.now,
    )
    return _issued(request, issued)


@router.post("/api-auth/keys/{key_id}/revoke", auth=SessionAccess(Action.REVOKE_OWN))
@answers(EnvelopeJson[RevokedJson], 404)
@reads_form(RevokeForm)
@reads_header("Origin")
@wrapped
@may_wait
def revoke_key(request: SessionRequest, key_id: str) -> RevokedJson:
    """End a key for good; once ended, asking again changes nothing."""
    caller, form = request.auth, read_form(request)
    key = _key(request, key_id, Action.REVOKE_OWN)
    with suppress(KeyAlreadyRevoked):
        keys.revoke_key(
            app_id=caller.app.id,
            key_id=key.id,
            reason=form.get("reason", ""),
            actor=caller.actor,
            now=caller.now,
        )
    return {"success": True}


def _key(request: SessionRequest, key_id: str, action: Action) -> Key:
    caller = request.auth
    return sessions.find_key(caller.session, parse_id(key_id) or 0, action, actor=caller.actor, now=caller.now)


def _with_status(rows: KeyQuerySet, status: str, now: datetime) -> KeyQuerySet:
    """Return the keys of one status as the clients know them: an expired key still counts as active."""
    if status == "active":
        return rows.not_ended(now)
    if status == "revoked":
        return rows.filter(Q(revoked_at__isnull=False) | Q(overlap_ends_at__lte=now))
    if status == "expired":
        return rows.not_ended(now).filter(expires_at__lte=now)
    if status == "all":
        return rows
    raise Invalid("status must be active, revoked, expired or all.", field="status")


def _issued(request: SessionRequest, issued: IssuedKey) -> BrowserIssuedKeyJson:
    caller = request.auth
    return issued_browser_key_json(key_json(issued.key, caller.app, now=caller.now), issued.secret)
