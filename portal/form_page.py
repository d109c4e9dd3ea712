"""The forms about keys: the key that one is about, and the form as a page or in the dialog."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.http import HttpResponse

from apiauth.core import ids
from apiauth.core.roles import Action
from apiauth.models import Key
from apiauth.services import propagation, sessions
from portal import policy_lines
from portal.forms import PortalForm, new_token
from portal.render import page_or_part
from portal.session import PortalRequest


def find_key(request: PortalRequest, text: str, action: Action = Action.SEE) -> Key:
    """Return a key of the session's by the id in an address. Raises NotFound, and NotAllowed beyond the role."""
    return sessions.find_key(
        request.session_row,
        ids.parse_id(text) or 0,
        action,
        is_change=request.method == "POST",
        actor=request.actor,
        now=request.now,
    )


@dataclass(frozen=True, slots=True)
class Lineage:
    """A key with its last use, the older ones of its lineage that still work, and the one in its place today."""

    key: Key
    old_ones: list[Key]
    newest: Key | None


def find_lineage(
    request: PortalRequest, text: str, action: Action = Action.SEE, *, with_progress: bool = False
) -> Lineage:
    """Return a key as `find_key` does, and in the same breath what its lineage has beside it.

    `with_progress` reads too how far the key's last change has come (`propagation.of_told`).
    """
    key_id = ids.parse_id(text) or 0
    rows = Key.objects.within(request.reach).lineage_of(key_id).select_related("usage").newest_first()
    rows = rows.filter(Q(pk=key_id) | Q(replaced_by=None) | Q(overlap_ends_at__gt=request.now))
    found = list(propagation.with_progress(rows) if with_progress else rows)
    key = sessions.require_key(
        request.session_row,
        next((each for each in found if each.pk == key_id), None),
        action,
        is_change=request.method == "POST",
        actor=request.actor,
        now=request.now,
    )
    return Lineage(
        key=key,
        old_ones=[each for each in found if each.pk < key_id and each.replaced_by_id and each.is_active(request.now)],
        newest=next((each for each in found if not each.replaced_by_id), None) if key.replaced_by_id else None,
    )


def form_page(
    request: PortalRequest, name: str, form: PortalForm, context: dict[str, Any], *, status: int | None = None
) -> HttpResponse:
    """Answer with a form; with 422 where what was sent is wrong, unless the answer has another status."""
    shared = {
        "section": "keys",
        "form": form,
        "form_token": new_token(),
        "session_id": request.session_id,
        "app": request.app,
        "lines": policy_lines.lines(request.app.policy),
    }
    parts = {"dialog": f"portal/keys/_{name}_dialog.html"}
    usual = 422 if form.is_bound else 200
    return page_or_part(request, f"portal/keys/{name}.html", parts, shared | context, status=status or usual)
