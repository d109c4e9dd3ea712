"""The gateway itself behind a Django view: the same check to the last byte, and what Django adds to it.

The view hands the environ on and copies the answer; it is the least that a Django view can do.
"""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from config.gateway_wsgi import application


def check(request: HttpRequest) -> HttpResponse:
    """Answer as the gateway does."""
    response = HttpResponse(content_type="application/json")

    def start(status: str, headers: list[tuple[str, str]]) -> None:
        response.status_code = int(status[:3])

    response.content = b"".join(application(request.environ, start))  # type: ignore[attr-defined]  # WSGIRequest's
    return response


urlpatterns = [path("v1/authz/check", check), path("ready", check)]
