"""How often one backend key, or one session, may call the JSON API: counted over the web processes of a host."""

from functools import cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from apiauth.core import clock
from apiauth.core.errors import TooMany
from apiauth.core.limits import LimitRule, Unit
from apiauth.http.limit_fields import header_fields
from apiauth.models import BackendKey, Session
from apiauth.services import host_limits
from apiauth.verify.limiter import ADMITTED, Claim, identity_of

FIELDS = ("RateLimit", "RateLimit-Policy")
"""The fields of draft-ietf-httpapi-ratelimit-headers-10 that tell a caller how it stands."""


def count_call(request: HttpRequest, credential: BackendKey | Session) -> None:
    """Count one call of a credential, and note on the request how it stands. Raises TooMany."""
    rule, now_ms = _rule(), clock.now_ms()
    identity = identity_of(rule, type(credential).__name__, credential.pk)
    denied, left = host_limits.limiter().take([Claim(rule, identity)], now_ms)
    fields = header_fields([(rule, left[0])], now_ms)
    request.limit_fields = {name: fields[name.lower()] for name in FIELDS}  # type: ignore[attr-defined]  # read by tell
    if denied != ADMITTED:
        raise TooMany(
            f"This {_kind(credential)} has made {rule.max_requests} calls within a minute.",
            retry_after=rule.seconds_left(now_ms),
        )


def tell(request: HttpRequest, response: HttpResponse) -> None:
    """Put the fields on an answer, whatever it says; none where the call was not counted."""
    for name, value in getattr(request, "limit_fields", {}).items():
        response[name] = value


def _kind(credential: BackendKey | Session) -> str:
    return "session" if isinstance(credential, Session) else "backend key"


@cache
def _rule() -> LimitRule:
    return LimitRule(id="calls", unit=Unit.MINUTE, duration=1, max_requests=settings.ENVIRONMENT.calls_per_minute)
