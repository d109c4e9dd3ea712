"""An app's decisions, for a product's own pages."""

from ninja import Query, Router

from apiauth.http import audit_answers
from apiauth.http.audit_query import AnalyticsQuery, LogsQuery, SeriesQuery
from apiauth.http.auth import SessionAccess, SessionRequest
from apiauth.http.openapi.describe import answers
from apiauth.http.wire import AnalyticsJson, BrowserLogPageJson, EnvelopeJson, SeriesJson, envelope

router = Router()


@router.get("/api-auth/audit/logs", auth=SessionAccess())
@answers(EnvelopeJson[BrowserLogPageJson])
def get_logs(request: SessionRequest, query: Query[LogsQuery]) -> EnvelopeJson[BrowserLogPageJson]:
    """Show a page of the decision log."""
    page = audit_answers.logs(request.auth.app, query, request.auth.now)
    return envelope(audit_answers.for_browser(page))


@router.get("/api-auth/audit/analytics", auth=SessionAccess())
@answers(EnvelopeJson[AnalyticsJson])
def get_analytics(request: SessionRequest, query: Query[AnalyticsQuery]) -> EnvelopeJson[AnalyticsJson]:
    """Show totals."""
    return envelope(audit_answers.analytics(request.auth.app, query, request.auth.now))


@router.get("/api-auth/audit/timeseries", auth=SessionAccess())
@answers(EnvelopeJson[SeriesJson])
def get_timeseries(request: SessionRequest, query: Query[SeriesQuery]) -> EnvelopeJson[SeriesJson]:
    """Show counts over time."""
    return envelope(audit_answers.timeseries(request.auth.app, query, request.auth.now))
