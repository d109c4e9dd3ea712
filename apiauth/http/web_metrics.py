"""The metrics of the web process: requests by route, their time, mails that wait. For the operators' token alone."""

from collections.abc import Iterator

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apiauth.core import clock
from apiauth.core.decision import METHODS
from apiauth.core.errors import NotFound
from apiauth.http.metrics import CONTENT_TYPE, shows_token
from apiauth.services import mails

# Or each counter would have a second series, of the moment when it began.
disable_created_metrics()  # type: ignore[no-untyped-call]  # prometheus_client gives it no types
REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "keystead_http_requests", "Requests by the name of their route.", ["route", "method", "status"], registry=REGISTRY
)
DURATIONS = Histogram(
    "keystead_http_request_duration_seconds", "From a request to its answer.", ["route"], registry=REGISTRY
)


class Mails(Collector):
    """The mails that wait, asked of the database whenever metrics are; absent where it does not answer."""

    def describe(self) -> Iterator[Metric]:
        """Name the metrics, so that nobody asks the database to know their names."""
        yield GaugeMetricFamily("keystead_mails_unsent", "Mails that wait to be sent, or to be tried again.")
        yield GaugeMetricFamily("keystead_mails_unsent_seconds", "For how long the oldest of them has waited.")

    def collect(self) -> Iterator[Metric]:
        """Tell how many wait, and for how long the oldest has."""
        try:
            found = mails.unsent(now=clock.now())
        except (OperationalError, InterfaceError):
            return
        for metric, value in zip(self.describe(), (found.count, found.seconds), strict=True):
            metric.add_sample(metric.name, {}, value)
            yield metric


REGISTRY.register(Mails())


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
