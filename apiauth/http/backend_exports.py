"""What a product's backend takes out in bulk: decisions and activity, as files that are written while they are sent."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import StreamingHttpResponse
from ninja import Router

from apiauth.audit.search import LONGEST_RANGE
from apiauth.core.errors import Invalid
from apiauth.core.ids import parse_request_id
from apiauth.core.redaction import without_secrets
from apiauth.http.audit_query import LOGS_WINDOW, LogsQuery, Window
from apiauth.http.auth import BackendAccess, BackendCaller, BackendRequest
from apiauth.http.bodies import ActivityExport, Export, LogsExport
from apiauth.http.openapi import examples
from apiauth.http.openapi.describe import hands_out
from apiauth.models import ActivityEntry
from apiauth.models.activity import ActivityEntryQuerySet, app_chain
from apiauth.services import activity_exports, apps, exports
from apiauth.services.activity_exports import ActivitySight
from apiauth.services.exports import MOST_LINES, Form, Sight

router = Router()
_LATEST_LOGS, _LATEST_ACTIVITY = LogsExport(), ActivityExport()  # what a call without a body asks for
_FILTERS = ("start_date", "end_date", "key_id", "outcome", "rule", "method", "path_prefix", "client_ip")


@router.post("/api-auth/apps/{app_slug}/audit/logs/export", auth=BackendAccess("apps:read"))
@hands_out("The decisions, the newest first.", examples.LOG_FILES, 404)
def export_logs(request: BackendRequest, app_slug: str, body: LogsExport = _LATEST_LOGS) -> StreamingHttpResponse:
    """Hand out decisions as a file. That it was taken stands in the activity log."""
    caller, given = request.auth, body.given()
    app = apps.find_app(deployment_id=caller.deployment_id, slug=app_slug)
    if body.outcome not in (None, "allowed", "blocked"):
        raise Invalid("outcome must be allowed or blocked.", field="outcome")
    query = LogsQuery(**{name: str(given[name]) for name in _FILTERS if given.get(name) is not None})
    start, end = query.bounds(caller.now, LOGS_WINDOW)
    if end - start > LONGEST_RANGE:
        raise Invalid(f"A file covers {LONGEST_RANGE.days} days at most: ask for it in parts.", field="start_date")
    lines = exports.export_decisions(
        app=app,
        within=None,
        filters=query.page(caller.now).filters,
        sight=Sight(addresses=True, user_agents=True),
        after=_last_decision(body.after_request_id),
        **_taken(body, caller),
    )
    return _file(lines, body, f"calls-{app.slug}", caller.now)


@router.post("/api-auth/apps/{app_slug}/activity/export", auth=BackendAccess("apps:read"))
@hands_out("The activity, the newest first.", examples.ACTIVITY_FILES, 404)
def export_activity(
    request: BackendRequest,
    app_slug: str,
    body: ActivityExport = _LATEST_ACTIVITY,
) -> StreamingHttpResponse:
    """Hand out an app's activity as a file. That it was taken stands in the activity log."""
    caller = request.auth
    app = apps.find_app(deployment_id=caller.deployment_id, slug=app_slug)
    lines = activity_exports.export_activity(
        app=app,
        entries=_entries(app.pk, body, caller.now),
        sight=ActivitySight(addresses=True, details=True),
        **_taken(body, caller),
    )
    return _file(lines, body, f"activity-{app.slug}", caller.now)


def _entries(app_id: int, body: ActivityExport, now: datetime) -> ActivityEntryQuerySet:
    start, end = Window(start_date=body.start_date, end_date=body.end_date).bounds(now, LOGS_WINDOW)
    entries = ActivityEntry.objects.in_chain(app_chain(app_id)).between(start, end)
    if body.after_sequence is None:
        return entries
    if not 0 < body.after_sequence < 2**63:
        raise Invalid("after_sequence must be the sequence of an entry.", field="after_sequence")
    return entries.filter(sequence__lt=body.after_sequence)


def _last_decision(text: str | None) -> UUID | None:
    found = parse_request_id(text) if text else None
    if text and found is None:
        raise Invalid("after_request_id must be req_ and 32 hex digits.", field="after_request_id")
    return found


def _taken(body: Export, caller: BackendCaller) -> dict[str, Any]:
    """Return how much is taken, by whom, and what the activity log keeps of the question: no address, no secret."""
    if body.limit is not None and not 1 <= body.limit <= MOST_LINES:
        raise Invalid(f"limit must be a whole number from 1 to {MOST_LINES}.", field="limit")
    asked = {name: without_secrets(str(value)) for name, value in body.given().items() if name != "form"}
    asked |= {"client_ip": "given"} if "client_ip" in asked else {}
    return {
        "form": _form(body),
        "most": body.limit or MOST_LINES,
        "asked": asked,
        "actor": caller.actor,
        "now": caller.now,
    }


def _form(body: Export) -> Form:
    if body.form is None:
        return Form.CSV
    if body.form not in set(Form):
        raise Invalid("form must be csv or jsonl.", field="form")
    return Form(body.form)


def _file(lines: Iterator[str], body: Export, name: str, now: datetime) -> StreamingHttpResponse:
    form = _form(body)
    response = StreamingHttpResponse(lines, content_type=form.content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}-{now:%Y-%m-%d}.{form}"'
    return response
