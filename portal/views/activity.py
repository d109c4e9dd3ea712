"""What was done: every management action of the app, by whom and when."""

from django.http import HttpResponse

from apiauth.core import ids
from apiauth.core.roles import Action
from apiauth.models import ActivityEntry
from apiauth.models.activity import app_chain
from portal.activity_words import sentences
from portal.render import page_or_part
from portal.session import PortalRequest, portal_view

PAGE = 50


@portal_view(action=Action.SEE_ACTIVITY)
def entry_list(request: PortalRequest) -> HttpResponse:
    """List the app's activity, the newest first, from a place on."""
    before = ids.parse_id(request.GET.get("before", ""))
    entries = ActivityEntry.objects.in_chain(app_chain(request.app.pk)).within(request.reach, request.session_row.pk)
    entries = entries.newest_first()
    if before is not None:
        entries = entries.filter(sequence__lt=before)
    found = list(entries[: PAGE + 1])
    older = str(found[PAGE - 1].sequence) if len(found) > PAGE else ""
    shown = sentences(found[:PAGE], with_addresses=request.rights.see_addresses)
    context = {"section": "activity", "sentences": shown, "older": older, "now": request.now}
    return page_or_part(request, "portal/activity.html", {"activity": "portal/_activity.html"}, context)
