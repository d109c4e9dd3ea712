"""The first page: traffic, what blocked it, and what needs attention."""

from django.http import HttpResponse

from portal import inputs, overview_page
from portal.render import page_or_part
from portal.session import PortalRequest, portal_view


@portal_view()
def overview(request: PortalRequest) -> HttpResponse:
    """Show the app's traffic over a range."""
    span = inputs.chosen_range(request.GET)
    context = overview_page.contents(request, span) | {"section": "overview", "ranges": inputs.RANGES.values()}
    return page_or_part(request, "portal/overview.html", {"overview": "portal/_overview.html"}, context)
