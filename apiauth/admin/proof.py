"""The proof of the activity log, at the press of a button."""

from typing import Any

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_POST

from apiauth.services import activity


@require_POST
@permission_required("apiauth.verify_activity", raise_exception=True)
def verify_activity(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Walk every chain and show the first broken link of each."""
    walked = list(activity.verify_all())
    context |= {
        "title": "Verify the activity log",
        "broken": [link for _, _, link in walked if link is not None],
        "chains": len(walked),
        "entries": sum(length for _, length, _ in walked),
    }
    return TemplateResponse(request, "admin/verify_activity.html", context)
