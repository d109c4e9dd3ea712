"""The forms about keys: the key that one is about, and the form as a page or in the dialog."""

from typing import Any

from django.http import HttpResponse

from apiauth.core import ids
from apiauth.core.roles import Action
from apiauth.models import Key
from apiauth.services import sessions
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
