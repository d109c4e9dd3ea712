"""Every decision: listed with filters, and explained one by one."""

from collections.abc import Mapping

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import reverse

from apiauth.core import ids
from apiauth.core.errors import NotFound
from apiauth.core.roles import Action
from apiauth.services.exports import Form
from portal import log_pages
from portal.inputs import visible
from portal.render import SeeOther, download, page_or_part
from portal.session import PortalRequest, also_allowed, portal_view
from portal.views import errors


@portal_view()
def decision_list(request: PortalRequest) -> HttpResponse:
    """List decisions, or go straight to the one whose request id was entered."""
    entered = visible(request.GET.get("request_id", ""))
    if ids.parse_request_id(entered):
        return SeeOther(reverse("portal:decision", args=[entered]))
    wanted = _filter(request, request.GET)
    if entered:
        wanted.problems["request_id"] = "A request id is req_ and 32 digits or letters from a to f."
    context = log_pages.listing(request, wanted) | {"section": "logs", "entered": entered}
    status = 400 if wanted.problems else 200
    return page_or_part(request, "portal/logs/list.html", {"log": "portal/logs/_list.html"}, context, status=status)


@portal_view(action=Action.EXPORT, methods=("POST",))
@also_allowed(Action.SEE)
def export(request: PortalRequest) -> StreamingHttpResponse:
    """Hand out every decision that the filters find, as CSV or JSON lines."""
    form = Form.JSONL if request.POST.get("form") == Form.JSONL else Form.CSV
    lines = log_pages.export(request, _filter(request, request.POST), form)
    return download(lines, f"calls-{request.app.slug}-{request.now:%Y-%m-%d}.{form}", form.content_type)


def _filter(request: PortalRequest, fields: Mapping[str, str]) -> log_pages.LogFilter:
    """Return the filters of an address or a form: to filter by what is hidden would tell it."""
    wanted = log_pages.read_filter(fields)
    if wanted.address and not request.rights.see_addresses:
        wanted.problems["address"] = "Your access doesn't show addresses, so calls can't be filtered by them."
    return wanted


@portal_view()
def decision(request: PortalRequest, request_id: str) -> HttpResponse:
    """Explain one decision. A call just made may not be in the log yet: then the page offers to look again."""
    try:
        context = log_pages.decision(request, request_id) | {"section": "logs"}
    except NotFound as missing:
        problem = errors.Problem(404, errors.TITLES[404], missing.message, missing.code, may_appear=True)
        return errors.show(request, problem)
    return page_or_part(request, "portal/logs/decision.html", {}, context)
