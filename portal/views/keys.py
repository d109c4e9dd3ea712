"""Keys: listed, made, looked at, rotated and revoked."""

from django.http import HttpResponse
from django.urls import reverse

from apiauth.core import secrets
from apiauth.core.errors import Conflict
from apiauth.core.roles import Action
from apiauth.models import Key
from apiauth.services import keys, propagation
from portal import inputs, key_pages, lineages
from portal.form_page import find_key, find_lineage, form_page
from portal.forms import RevokeKeyForm, RotateKeyForm
from portal.key_forms import CreateKeyForm
from portal.render import SeeOther, go_to, page_or_part
from portal.session import PortalRequest, portal_view

READ_AND_WRITE = ("GET", "POST")
STOP_POLLING = 286


@portal_view()
def key_list(request: PortalRequest) -> HttpResponse:
    """List the app's keys, filtered by status, name or last four characters."""
    if secrets.is_well_formed(request.GET.get("q", "").strip()):
        return SeeOther(f"{reverse('portal:keys')}?notice=secret")
    status, query, after = inputs.key_filter(request.GET)
    listing = lineages.page(rights=request.rights, status=status, query=query, after=after, now=request.now)
    context = {"section": "keys", "listing": listing, "now": request.now, "rights": request.rights}
    context |= {"status": status, "query": query, "notice": key_pages.list_notice(request.GET.get("notice", ""))}
    return page_or_part(request, "portal/keys/list.html", {"keys": "portal/keys/_list.html"}, context)


@portal_view(action=Action.CREATE, methods=READ_AND_WRITE)
def create(request: PortalRequest) -> HttpResponse:
    """Show the form of a new key, or make the key and show its secret in this one answer."""
    form = CreateKeyForm(request)
    issued = form.attempt(lambda: key_pages.create(request, form)) if form.is_bound else None
    if issued:
        return _secret(request, issued, None)
    return form_page(request, "create", form, {})


@portal_view()
def detail(request: PortalRequest, key_id: str) -> HttpResponse:
    """Show one key: its facts, its traffic, what it did last and what was done to it."""
    lineage = find_lineage(request, key_id, with_progress=key_pages.is_after_change(request))
    context = key_pages.detail(request, lineage) | {"section": "keys"}
    return page_or_part(request, "portal/keys/detail.html", {}, context)


@portal_view()
def in_force(request: PortalRequest, key_id: str) -> HttpResponse:
    """Tell on how many gateways the last change of a key is in force; htmx asks until it is on all."""
    key = find_key(request, key_id)
    found = propagation.of_row(key)
    context = {"section": "keys", "key": key, "key_id": str(key.pk), "propagation": found}
    parts = {"in-force": "portal/keys/_in_force.html"}
    status = STOP_POLLING if found.is_complete and request.htmx else 200
    return page_or_part(request, "portal/keys/in_force.html", parts, context, status=status)


@portal_view(action=Action.ROTATE_OWN, methods=READ_AND_WRITE)
def rotate(request: PortalRequest, key_id: str) -> HttpResponse:
    """Ask for how long the old secret works, or rotate and show the new secret in this one answer."""
    lineage = find_lineage(request, key_id, Action.ROTATE_OWN)
    key = lineage.key
    data = request.POST if request.method == "POST" else None
    form = RotateKeyForm(data, app=request.app, key=key, now=request.now)
    if form.is_bound and (issued := form.attempt(lambda: key_pages.rotate(request, form, key))):
        return _secret(request, issued, key)
    if key.replaced_by_id or not key.is_active(request.now):
        raise Conflict("This key has ended or was replaced, so it can't be rotated.")
    return form_page(request, "rotate", form, key_pages.about(request, lineage))


@portal_view(action=Action.REVOKE_OWN, methods=READ_AND_WRITE)
def revoke(request: PortalRequest, key_id: str) -> HttpResponse:
    """Ask for confirmation with what it would break, or revoke."""
    lineage = find_lineage(request, key_id, Action.REVOKE_OWN)
    key = lineage.key
    data = request.POST if request.method == "POST" else None
    in_use = key_pages.is_in_use(lineage, request.app.policy.rotation, request.now)
    form = RevokeKeyForm(data, name=key.name if in_use else None)
    if form.is_bound and form.attempt(lambda: key_pages.revoke(request, form, lineage)) is not None:
        return go_to(request, f"{reverse('portal:key', args=[key.pk])}?notice=revoked")
    if key.revoked_at:
        return go_to(request, reverse("portal:key", args=[key.pk]))
    return form_page(request, "revoke", form, key_pages.about(request, lineage) | key_pages.ending(request, lineage))


def _secret(request: PortalRequest, issued: keys.IssuedKey, replaced: Key | None) -> HttpResponse:
    context = key_pages.secret(request, issued, replaced) | {"section": "keys"}
    return page_or_part(request, "portal/keys/secret.html", {"dialog": "portal/keys/_secret_dialog.html"}, context)
