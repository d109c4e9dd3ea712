"""The metrics of the web process: requests by route, their time, what waits in the database.

For the operators' token alone.
"""

from collections.abc import Iterator

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from apiauth.audit import strays
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


class Database(Collector):
    """What the database is asked for whenever metrics are; absent where it does not answer."""

    def describe(self) -> Iterator[Metric]:
        """Name the metrics, so that nobody asks the database to know their names."""
        yield GaugeMetricFamily("keystead_mails_unsent", "Mails that wait to be sent, or to be tried again.")
        yield GaugeMetricFamily("keystead_mails_unsent_seconds", "For how long the oldest of them has waited.")
        yield GaugeMetricFamily("keystead_decisions_stray", "Decisions without a partition of their day, 1000 at most.")

    def collect(self) -> Iterator[Metric]:
        """Tell how many mails wait, for how long the oldest has, and how many decisions are astray."""
        try:
            waiting, astray = mails.unsent(now=clock.now()), strays.find()
        except (OperationalError, InterfaceError):
            return
        for metric, value in zip(self.describe(), (waiting.count, waiting.seconds, astray.count), strict=True):
            metric.add_sample(metric.name, {}, value)
            yield metric


REGISTRY.register(Database())


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
