"""An app's decisions, for a product's own pages."""

from ninja import Query, Router

from apiauth.core.roles import Action
from apiauth.http import audit_answers
from apiauth.http.audit_query import AnalyticsQuery, LogsQuery, SeriesQuery
from apiauth.http.auth import SessionAccess, SessionRequest
from apiauth.http.openapi.describe import answers
from apiauth.http.wire import AnalyticsJson, BrowserLogPageJson, EnvelopeJson, SeriesJson, envelope
from apiauth.services import sessions

router = Router()


@router.get("/api-auth/audit/logs", auth=SessionAccess())
@answers(EnvelopeJson[BrowserLogPageJson])
def get_logs(request: SessionRequest, query: Query[LogsQuery]) -> EnvelopeJson[BrowserLogPageJson]:
    """Show a page of the decision log."""
    caller, session = request.auth, request.auth.session
    if query.client_ip:  # to filter by what is hidden would tell it
        sessions.authorize(session, Action.SEE_ADDRESSES, is_change=False, actor=caller.actor, now=caller.now)
    page = audit_answers.logs(caller.app, query, caller.now, within=session.reach)
    shown = audit_answers.for_browser(
        page,
        with_addresses=sessions.may(session, Action.SEE_ADDRESSES),
        with_user_agents=sessions.may(session, Action.SEE_USER_AGENTS),
    )
    return envelope(shown)


@router.get("/api-auth/audit/analytics", auth=SessionAccess())
@answers(EnvelopeJson[AnalyticsJson])
def get_analytics(request: SessionRequest, query: Query[AnalyticsQuery]) -> EnvelopeJson[AnalyticsJson]:
    """Show totals."""
    caller = request.auth
    return envelope(audit_answers.analytics(caller.app, query, caller.now, within=caller.session.reach))


@router.get("/api-auth/audit/timeseries", auth=SessionAccess())
@answers(EnvelopeJson[SeriesJson])
def get_timeseries(request: SessionRequest, query: Query[SeriesQuery]) -> EnvelopeJson[SeriesJson]:
    """Show counts over time."""
    caller = request.auth
    return envelope(audit_answers.timeseries(caller.app, query, caller.now, within=caller.session.reach))
