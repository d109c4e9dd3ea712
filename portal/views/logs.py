"""Every decision: listed with filters, and explained one by one."""

from django.http import HttpResponse
from django.urls import reverse

from apiauth.core import ids
from portal import log_pages
from portal.inputs import visible
from portal.render import SeeOther, page_or_part
from portal.session import PortalRequest, portal_view


@portal_view()
def decision_list(request: PortalRequest) -> HttpResponse:
    """List decisions, or go straight to the one whose request id was entered."""
    entered = visible(request.GET.get("request_id", ""))
    if ids.parse_request_id(entered):
        return SeeOther(reverse("portal:decision", args=[entered]))
    wanted = log_pages.read_filter(request.GET)
    if wanted.address and not request.rights.see_addresses:
        wanted.problems["address"] = "Your access doesn't show addresses, so calls can't be filtered by them."
    if entered:
        wanted.problems["request_id"] = "A request id is req_ and 32 digits or letters from a to f."
    context = log_pages.listing(request, wanted) | {"section": "logs", "entered": entered}
    status = 400 if wanted.problems else 200
    return page_or_part(request, "portal/logs/list.html", {"log": "portal/logs/_list.html"}, context, status=status)


@portal_view()
def decision(request: PortalRequest, request_id: str) -> HttpResponse:
    """Explain one decision."""
    context = log_pages.decision(request, request_id) | {"section": "logs"}
    return page_or_part(request, "portal/logs/decision.html", {}, context)
