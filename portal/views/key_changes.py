"""What is done to a key that lives on: disabled, enabled, its revoke taken back, its overlap ended or changed."""

from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from apiauth.core.errors import Conflict
from apiauth.core.roles import Action
from apiauth.models import Key, KeyStatus
from apiauth.services import keys
from portal import key_pages
from portal.form_page import find_key, find_lineage, form_page
from portal.forms import OverlapForm, SwitchKeyForm
from portal.render import go_to
from portal.session import PortalRequest, portal_view

READ_AND_WRITE = ("GET", "POST")


@portal_view(action=Action.DISABLE_OWN, methods=READ_AND_WRITE)
def disable(request: PortalRequest, key_id: str) -> HttpResponse:
    """Show what disabling a key would block, or disable it."""
    lineage = find_lineage(request, key_id, Action.DISABLE_OWN)
    key = lineage.key
    form = SwitchKeyForm(request.POST if request.method == "POST" else None)
    if form.is_bound and form.attempt(lambda: keys.disable_key(**_given(request, form, key))) is not None:
        return _done(request, key, "disabled")
    if not key.is_active(request.now):
        raise Conflict("This key has ended or is disabled already.")
    return form_page(request, "disable", form, key_pages.about(request, lineage) | key_pages.disabling(request, key))


@portal_view(action=Action.DISABLE_OWN, methods=READ_AND_WRITE)
def enable(request: PortalRequest, key_id: str) -> HttpResponse:
    """Ask whether a disabled key should work again, or let it."""
    lineage = find_lineage(request, key_id, Action.DISABLE_OWN)
    key = lineage.key
    form = SwitchKeyForm(request.POST if request.method == "POST" else None)
    if (
        form.is_bound
        and form.attempt(lambda: keys.enable_key(**_given(request, form, key), **_room(request))) is not None
    ):
        return _done(request, key, "enabled")
    if key.status(request.now) is not KeyStatus.DISABLED:
        raise Conflict("This key is not disabled.")
    return form_page(request, "enable", form, key_pages.about(request, lineage))


@portal_view(action=Action.REVOKE_OWN, methods=("POST",))
def undo_revoke(request: PortalRequest, key_id: str) -> HttpResponse:
    """Take a revoke back while the app's policy lets it."""
    key = find_key(request, key_id, Action.REVOKE_OWN)
    keys.undo_revoke(app_id=request.app.pk, key_id=key.pk, actor=request.actor, now=request.now, **_room(request))
    return _done(request, key, "undone")


@portal_view(action=Action.ROTATE_OWN, methods=("POST",))
def end_overlap(request: PortalRequest, key_id: str) -> HttpResponse:
    """Stop an old secret before its time."""
    key = find_key(request, key_id, Action.ROTATE_OWN)
    keys.end_overlap(app_id=request.app.pk, key_id=key.pk, actor=request.actor, now=request.now)
    return _done(request, key, "overlap-ended")


@portal_view(action=Action.ROTATE_OWN, methods=READ_AND_WRITE)
def change_overlap(request: PortalRequest, key_id: str) -> HttpResponse:
    """Ask until when an old secret works, or say so."""
    lineage = find_lineage(request, key_id, Action.ROTATE_OWN)
    key = lineage.key
    if key.status(request.now) is not KeyStatus.IN_GRACE or key.replaced_by is None:
        raise Conflict("This key has no overlap to change.")
    data = request.POST if request.method == "POST" else None
    form = OverlapForm(data, key=key, latest=keys.latest_overlap_end(key, key.replaced_by), now=request.now)
    if form.is_bound and form.attempt(lambda: key_pages.change_overlap(request, form, key)) is not None:
        return _done(request, key, "overlap-changed")
    return form_page(request, "change_overlap", form, key_pages.about(request, lineage))


def _room(request: PortalRequest) -> dict[str, Any]:
    return {"owner": request.session_row.owner, "ceiling": request.session_row.ceiling}


def _given(request: PortalRequest, form: SwitchKeyForm, key: Key) -> dict[str, Any]:
    return {
        "app_id": request.app.pk,
        "key_id": key.pk,
        "reason": form.cleaned_data["reason"],
        "actor": request.actor,
        "now": request.now,
    }


def _done(request: PortalRequest, key: Key, notice: str) -> HttpResponse:
    return go_to(request, f"{reverse('portal:key', args=[key.pk])}?notice={notice}")
