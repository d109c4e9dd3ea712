"""Django: a middleware that protects path prefixes, and a decorator for what a view requires.

Both are told where Keystead is by the dictionary `KEYSTEAD` of the settings. One call is checked
once: the middleware waits until the view is known and asks for what its decorator requires.
"""

import re
from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any, TypeVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.utils.encoding import escape_uri_path
from django.utils.module_loading import import_string

from keystead_client.admission import Admission, Incoming
from keystead_client.client import AsyncKeystead, Keystead
from keystead_client.decisions import Decision

View = TypeVar("View", bound=Callable[..., Any])
Client = TypeVar("Client", Keystead, AsyncKeystead)
_REQUIRES = "keystead_requires"
_ADMITTED = "_keystead_admitted"
_CLIENT_OPTIONS = {
    "URL": "url",
    "BACKEND_KEY": "backend_key",
    "GATEWAY_URL": "gateway_url",
    "GATEWAY_KEY": "gateway_key",
    "APP_SLUG": "app_slug",
    "DEPLOYMENT_ID": "deployment_id",
    "ON_UNAVAILABLE": "on_unavailable",
    "CHECK_TIMEOUT_SECONDS": "check_timeout_seconds",
}
_OWN_OPTIONS = ("PROTECT", "CLIENT_IP")


class KeysteadMiddleware:
    """Lets a call to a protected path through on a clear yes alone. `PROTECT` lists path prefixes."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._protected = re.compile("|".join(map(_prefix_pattern, _prefixes())) or r"(?!)")
        self.process_view: Callable[..., Any] = self._check_view
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)
            self.process_view = self._check_view_in_loop
        keystead()  # settings that cannot be used stop the start

    def __call__(self, request: HttpRequest) -> Any:
        """Pass the request on; the check itself waits until the view is known."""
        if iscoroutinefunction(self._get_response):
            return self._answer_in_loop(request)
        return _with_fields(request, self._get_response(request))

    async def _answer_in_loop(self, request: HttpRequest) -> HttpResponseBase:
        return _with_fields(request, await self._get_response(request))

    def _check_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> JsonResponse | None:
        if not self._protected.match(request.path_info):
            return None
        return _refused(check_request(request, getattr(view, _REQUIRES, ())))

    async def _check_view_in_loop(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> JsonResponse | None:
        if not self._protected.match(request.path_info):
            return None
        return _refused(await check_request_in_loop(request, getattr(view, _REQUIRES, ())))


def requires(*permissions: str) -> Callable[[View], View]:
    """Let a view run only for a key with these permissions; works with and without the middleware."""

    def decorate(view: View) -> View:
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            refusal = _refused(check_request(request, permissions))
            return refusal or _with_fields(request, view(request, *args, **kwargs))

        async def guarded_in_loop(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            refusal = _refused(await check_request_in_loop(request, permissions))
            return refusal or _with_fields(request, await view(request, *args, **kwargs))

        found: Any = wraps(view)(guarded_in_loop if iscoroutinefunction(view) else guarded)
        setattr(found, _REQUIRES, permissions)
        result: View = found
        return result

    return decorate


def decision_of(request: HttpRequest) -> Decision:
    """Return the decision that let this request through. Raises ImproperlyConfigured where none was made."""
    admission = _admission_of(request)
    if admission is None or admission.decision is None:
        raise ImproperlyConfigured("This view is neither under KEYSTEAD['PROTECT'] nor decorated with `requires`.")
    return admission.decision


def check_request(request: HttpRequest, permissions: Sequence[str]) -> Admission:
    """Check a request, once for the same permissions."""
    known = _known(request, permissions)
    return known or _remember(request, permissions, keystead().admit(_incoming(request), permissions))


async def check_request_in_loop(request: HttpRequest, permissions: Sequence[str]) -> Admission:
    """Check a request from a coroutine, once for the same permissions."""
    known = _known(request, permissions)
    return known or _remember(request, permissions, await async_keystead().admit(_incoming(request), permissions))


@cache
def keystead() -> Keystead:
    """Return the client of this process, for tickets and keys as well."""
    return _made(Keystead)


@cache
def async_keystead() -> AsyncKeystead:
    """Return the client of this process for coroutines."""
    return _made(AsyncKeystead)


def _made(kind: type[Client]) -> Client:
    """Return a client as the settings describe it. Raises ImproperlyConfigured."""
    given = getattr(settings, "KEYSTEAD", {})
    if unknown := set(given) - set(_CLIENT_OPTIONS) - set(_OWN_OPTIONS):
        raise ImproperlyConfigured(f"KEYSTEAD has unknown entries: {', '.join(sorted(unknown))}.")
    try:
        return kind(**{_CLIENT_OPTIONS[name]: value for name, value in given.items() if name in _CLIENT_OPTIONS})
    except ValueError as problem:
        raise ImproperlyConfigured(f"KEYSTEAD: {problem}") from None


def _option(name: str, default: Any) -> Any:
    return getattr(settings, "KEYSTEAD", {}).get(name, default)


def _prefixes() -> Sequence[str]:
    """Return what is protected. Raises ImproperlyConfigured for what no path begins with: it would protect nothing."""
    given: Sequence[str] = _option("PROTECT", ())
    if isinstance(given, str) or not all(prefix.startswith("/") for prefix in given):
        raise ImproperlyConfigured("KEYSTEAD['PROTECT'] must list path prefixes that begin with a slash.")
    return given


def _prefix_pattern(prefix: str) -> str:
    """Return a pattern for a prefix of whole path segments: /v2 covers /v2 and /v2/routes, not /v20."""
    return f"{re.escape(prefix.rstrip('/'))}(?:/|$)"


def _incoming(request: HttpRequest) -> Incoming:
    """Return the call. WSGI joins a repeated header with a comma, which makes no key of it."""
    find_ip = _option("CLIENT_IP", None)
    find_ip = import_string(find_ip) if isinstance(find_ip, str) else find_ip
    return Incoming(
        authorization=_header(request, "Authorization"),
        api_key=_header(request, "X-API-Key"),
        method=request.method or "",
        resource=escape_uri_path(request.path),
        client_ip=find_ip(request) if find_ip else request.META.get("REMOTE_ADDR") or None,
        user_agent=request.headers.get("User-Agent"),
    )


def _header(request: HttpRequest, name: str) -> list[str]:
    value = request.headers.get(name)
    return [] if value is None else [value]


def _admission_of(request: HttpRequest) -> Admission | None:
    found: tuple[Sequence[str], Admission] | None = getattr(request, _ADMITTED, None)
    return found[1] if found else None


def _known(request: HttpRequest, permissions: Sequence[str]) -> Admission | None:
    found = getattr(request, _ADMITTED, None)
    return found[1] if found and set(permissions) <= set(found[0]) else None


def _remember(request: HttpRequest, permissions: Sequence[str], admission: Admission) -> Admission:
    setattr(request, _ADMITTED, (permissions, admission))
    return admission


def _refused(admission: Admission) -> JsonResponse | None:
    refusal = admission.refusal
    return JsonResponse(refusal.body, status=refusal.status, headers=refusal.headers) if refusal else None


def _with_fields(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Give an answer the rate-limit fields of its check."""
    admission = _admission_of(request)
    for name, value in (admission.headers if admission else {}).items():
        response.headers[name] = value
    return response


def _forget_clients(*, setting: str, **_: Any) -> None:
    """Read the settings anew after a test has changed them."""
    if setting == "KEYSTEAD":
        if keystead.cache_info().currsize:
            keystead().close()
        keystead.cache_clear()
        async_keystead.cache_clear()


setting_changed.connect(_forget_clients)
