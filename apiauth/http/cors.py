"""Which pages of other origins may read the browser session API: exactly those that a deployment lists."""

from collections.abc import Sequence

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

from apiauth.models import Deployment

_METHODS = "GET, POST, DELETE, OPTIONS"
_EXPOSED = "X-Request-Id, Retry-After, RateLimit, RateLimit-Policy, Preference-Applied"


def decorate(request: HttpRequest, response: HttpResponse) -> None:
    """Add the CORS headers, on errors too. Before a deployment is known, any deployment's list counts."""
    patch_vary_headers(response, ("Origin", "Cookie"))
    origin = request.headers.get("Origin", "")
    if origin and _may_read(request, origin):
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Allow-Credentials"] = "true"
        response["Access-Control-Expose-Headers"] = _EXPOSED


def preflight() -> HttpResponse:
    """Answer OPTIONS; `decorate` decides whether the browser goes on."""
    response = HttpResponse(status=204)
    response["Access-Control-Allow-Methods"] = _METHODS
    response["Access-Control-Allow-Headers"] = "Content-Type, Idempotency-Key, Prefer, X-Request-Id"
    response["Access-Control-Max-Age"] = "600"
    return response


def bind(request: HttpRequest, allowed_origins: Sequence[str]) -> None:
    """Note whose page list counts, once the deployment behind a request is known."""
    request.allowed_origins = frozenset(allowed_origins)  # type: ignore[attr-defined]  # read by decorate


def is_listed_anywhere(origin: str) -> bool:
    """Tell whether any deployment lists this origin, in exactly this spelling."""
    if "\x00" in origin or len(origin) > 300:
        return False
    return Deployment.objects.filter(allowed_origins__contains=[origin]).exists()


def _may_read(request: HttpRequest, origin: str) -> bool:
    listed: frozenset[str] | None = getattr(request, "allowed_origins", None)
    if listed is not None:
        return origin in listed
    try:
        return is_listed_anywhere(origin)
    except (OperationalError, InterfaceError):
        return False
