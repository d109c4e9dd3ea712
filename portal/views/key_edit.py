"""A key is changed: its form, what the change comes to, and the change itself."""

from typing import Any

from django.http import HttpResponse
from django.urls import reverse

from apiauth.core import permission_words, resource_words
from apiauth.core.errors import Conflict
from apiauth.core.roles import EDITS
from apiauth.models import Key, KeyStatus
from portal import key_edit, key_pages
from portal.form_page import Lineage, find_lineage, form_page
from portal.key_forms import EditKeyForm
from portal.render import go_to
from portal.session import PortalRequest, portal_view

_LIVES_ON = (KeyStatus.ACTIVE, KeyStatus.IN_GRACE, KeyStatus.DISABLED)


@portal_view(action=EDITS[0], or_actions=EDITS, methods=("GET", "POST"))
def edit(request: PortalRequest, key_id: str) -> HttpResponse:
    """Show the form of a key, or what a change of it would do, or make the change."""
    lineage = find_lineage(request, key_id)
    key = lineage.key
    key_edit.authorize(request, key)
    if key.status(request.now) not in _LIVES_ON:
        raise Conflict("This key has ended, so it can't be changed.")
    form = EditKeyForm(request, key)
    changed = form.attempt(lambda: key_edit.rehearse(request, form, key)) if form.is_bound else None
    if changed is None:
        return form_page(request, "edit", form, _form(request, lineage))
    if key_edit.needs_review(key, changed) and not form.cleaned_data["confirmed"]:
        return form_page(request, "edit_review", form, _review(request, form, key, changed), status=200)
    key_edit.save(request, form, key)
    return go_to(request, f"{reverse('portal:key', args=[key.pk])}?notice=edited")


def _form(request: PortalRequest, lineage: Lineage) -> dict[str, Any]:
    key = lineage.key
    return key_pages.about(request, lineage) | {
        "permissions": permission_words.held_permissions(key.permissions, request.app.permissions),
        "resources": resource_words.bound_resources(key.resources, request.app.resources),
    }


def _review(request: PortalRequest, form: EditKeyForm, key: Key, changed: Key) -> dict[str, Any]:
    rights = request.rights
    narrowing = key_edit.narrowing(request.app, key, changed, see_addresses=rights.see_addresses)
    return {
        "key": key,
        "key_id": str(key.pk),
        "differences": key_edit.differences(key, changed),
        "breakage": key_pages.breakage(request, key, narrowing) if narrowing else None,
        "uncounted": rights.cannot_count_addresses if key_edit.shuts_addresses_out(key, changed) else "",
        "refused_everywhere": key_edit.refused_everywhere(request.app, changed),
        "sent": key_edit.sent_again(form, changed),
    }
