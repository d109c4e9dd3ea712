"""An app's decisions, for products' backends."""

from ninja import Query, Router

from apiauth.http import audit_answers
from apiauth.http.audit_query import AnalyticsQuery, LogsQuery, SeriesQuery
from apiauth.http.auth import BackendAccess, BackendRequest
from apiauth.http.openapi.describe import answers
from apiauth.http.wire import AnalyticsJson, LogPageJson, SeriesJson
from apiauth.models import App
from apiauth.services import apps

router = Router()


@router.get("/api-auth/apps/{app_slug}/audit/logs", auth=BackendAccess("apps:read"))
@answers(LogPageJson, 404)
def get_logs(request: BackendRequest, app_slug: str, query: Query[LogsQuery]) -> LogPageJson:
    """Show a page of the decision log."""
    return audit_answers.logs(_app(request, app_slug), query, request.auth.now)


@router.get("/api-auth/apps/{app_slug}/audit/analytics", auth=BackendAccess("apps:read"))
@answers(AnalyticsJson, 404)
def get_analytics(request: BackendRequest, app_slug: str, query: Query[AnalyticsQuery]) -> AnalyticsJson:
    """Show totals."""
    return audit_answers.analytics(_app(request, app_slug), query, request.auth.now)


@router.get("/api-auth/apps/{app_slug}/audit/timeseries", auth=BackendAccess("apps:read"))
@answers(SeriesJson, 404)
def get_timeseries(request: BackendRequest, app_slug: str, query: Query[SeriesQuery]) -> SeriesJson:
    """Show counts over time."""
    return audit_answers.timeseries(_app(request, app_slug), query, request.auth.now)


def _app(request: BackendRequest, slug: str) -> App:
    return apps.find_app(deployment_id=request.auth.deployment_id, slug=slug)
