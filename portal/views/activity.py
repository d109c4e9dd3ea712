"""What was done: every management action of the app, by whom and when."""

from django.http import HttpResponse, StreamingHttpResponse

from apiauth.core import ids
from apiauth.core.roles import Action
from apiauth.models import ActivityEntry
from apiauth.models.activity import ActivityEntryQuerySet, app_chain
from apiauth.services.activity_exports import ActivitySight, export_activity
from apiauth.services.exports import Form
from portal.activity_words import FIELDS, sentences
from portal.render import download, page_or_part
from portal.session import PortalRequest, also_allowed, portal_view

PAGE = 50


@portal_view(action=Action.SEE_ACTIVITY)
def entry_list(request: PortalRequest) -> HttpResponse:
    """List the app's activity, the newest first, from a place on."""
    before = ids.parse_id(request.GET.get("before", ""))
    entries = _entries(request).newest_first().only(*FIELDS)
    if before is not None:
        entries = entries.filter(sequence__lt=before)
    found = list(entries[: PAGE + 1])
    older = str(found[PAGE - 1].sequence) if len(found) > PAGE else ""
    shown = sentences(found[:PAGE], with_addresses=request.rights.see_addresses)
    context = {"section": "activity", "sentences": shown, "older": older, "now": request.now}
    context |= {"rights": request.rights, "session_id": request.session_id}
    return page_or_part(request, "portal/activity.html", {"activity": "portal/_activity.html"}, context)


@portal_view(action=Action.EXPORT, methods=("POST",))
@also_allowed(Action.SEE_ACTIVITY)
def export(request: PortalRequest) -> StreamingHttpResponse:
    """Hand out the app's activity, as far as the session sees it, as CSV or JSON lines."""
    form = Form.JSONL if request.POST.get("form") == Form.JSONL else Form.CSV
    lines = export_activity(
        app=request.app,
        entries=_entries(request),
        sight=ActivitySight(addresses=request.rights.see_addresses, details=False),
        form=form,
        asked={},
        actor=request.actor,
        now=request.now,
    )
    return download(lines, f"activity-{request.app.slug}-{request.now:%Y-%m-%d}.{form}", form.content_type)


def _entries(request: PortalRequest) -> ActivityEntryQuerySet:
    entries = ActivityEntry.objects.in_chain(app_chain(request.app.pk))
    return entries.within(request.reach, request.session_row.pk)
