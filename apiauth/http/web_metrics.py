"""The metrics of the web process: requests by route, and how long they took. For operators with the token alone."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest

from apiauth.core.errors import NotFound
from apiauth.http.metrics import CONTENT_TYPE, shows_token

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# Or each counter would have a second series, of the moment when it began.
disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client gives it no types
REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "keystead_http_requests", "Requests by the name of their route.", ["route", "method", "status"], registry=REGISTRY
)
DURATIONS = Histogram(
    "keystead_http_request_duration_seconds", "From a request to its answer.", ["route"], registry=REGISTRY
)


def note(request: HttpRequest, status: int, seconds: float) -> None:
    """Count one request. Addresses that are no route, and static files, are one route of no name."""
    match = request.resolver_match
    route = match.view_name if match is not None else ""
    method = request.method if request.method in METHODS else "other"
    REQUESTS.labels(route, method, str(status)).inc()
    DURATIONS.labels(route).observe(seconds)


@csrf_exempt  # it changes nothing and knows no cookie: another method is to hear 405, not of a form token
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Tell all metrics of this process. Raises NotFound for whoever does not show the token."""
    if not shows_token(request.headers.get("Authorization", ""), settings.ENVIRONMENT.metrics_token):
        raise NotFound
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE)
