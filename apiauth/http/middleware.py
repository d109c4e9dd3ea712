"""What every request gets, and how an error on a JSON path looks."""

import re
import secrets
import time
from collections.abc import Callable

import structlog
from django.conf import settings
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from apiauth.core.errors import Invalid, NotFound, TooLarge
from apiauth.http import call_limits, cors, errors, prefer, web_metrics

GetResponse = Callable[[HttpRequest], HttpResponse]

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_ALWAYS = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_KEPT_HEADERS = ("Allow", "Retry-After", "WWW-Authenticate")
_log = structlog.get_logger("keystead.web")


class RequestContext:
    """Gives every request an id, in the log lines and in the answer, and writes one line about it.

    The line holds neither query string, body nor header values: a ticket may be in any of them.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = _request_id(request)
        request.request_id = request_id  # type: ignore[attr-defined]  # read by error answers of every door
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            started_ns = time.monotonic_ns()
            response = self.get_response(request)
            response["X-Request-Id"] = request_id
            for name, value in _ALWAYS.items():
                response[name] = value
            if settings.ENVIRONMENT.is_https:  # Django's own waits for a TLS that ends at the proxy
                response["Strict-Transport-Security"] = f"max-age={settings.SECURE_HSTS_SECONDS}; includeSubDomains"
            seconds = (time.monotonic_ns() - started_ns) / 1e9
            web_metrics.note(request, response.status_code, seconds)
            _log.info(
                "request",
                method=(request.method or "")[:20],
                path=request.path[:500],
                status=response.status_code,
                duration_ms=round(seconds * 1000, 1),
            )
        return response


def _request_id(request: HttpRequest) -> str:
    given = request.headers.get("X-Request-Id", "")
    return given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(16)


class ErrorsAsJson:
    """Turns every error on a JSON path into the one error object, and adds what browsers ask for there."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not errors.is_json_path(request.path):
            return self.get_response(request)
        response = self._checked(request)
        if response.status_code >= 400 and not _is_json(response):
            response = _as_json(request, response)
        response["Cache-Control"] = "no-store, private"
        call_limits.tell(request, response)
        prefer.tell(request, response)
        if errors.is_frontend_path(request.path):
            cors.decorate(request, response)
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer what a JSON door raised; a defect is logged with its traceback and told without it."""
        if not errors.is_json_path(request.path):
            return None
        refusal = errors.refusal_of(exception)
        if refusal is None:
            got_request_exception.send(sender=type(self), request=request)
            _log.error("defect", path=request.path[:500], exc_info=exception)
            refusal = errors.refusal_of_status(500)
        elif refusal.status >= 500:
            _log.warning("unavailable", cause=type(exception).__name__)
        return errors.answer(request, refusal)

    def _checked(self, request: HttpRequest) -> HttpResponse:
        try:
            request.get_host()
            _refuse_size(request)
            _refuse_nul(request)
            resolve(request.path_info)
        except Resolver404:
            return errors.answer(request, errors.refusal_of_status(404))
        except Exception as problem:
            refusal = errors.refusal_of(problem)
            if refusal is None:
                raise
            return errors.answer(request, refusal)
        if request.method == "OPTIONS" and errors.is_frontend_path(request.path):
            return cors.preflight()
        return self.get_response(request)


def _refuse_size(request: HttpRequest) -> None:
    """Stop a body that says it is too large before anyone reads it."""
    length = request.META.get("CONTENT_LENGTH") or ""
    if not length and "Transfer-Encoding" in request.headers:
        raise errors.LengthRequired
    if length.isascii() and length.isdecimal() and int(length[:20]) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise TooLarge


def _refuse_nul(request: HttpRequest) -> None:
    """Stop a NUL before it reaches a query: PostgreSQL's text cannot hold it."""
    if "\x00" in request.path:
        raise NotFound("There is nothing at this address.")
    for name, values in request.GET.lists():
        if "\x00" in name or any("\x00" in value for value in values):
            raise Invalid("A query field holds a NUL character.", field=name.replace("\x00", "")[:100] or None)


def _is_json(response: HttpResponse) -> bool:
    return response.get("Content-Type", "").startswith("application/json")


def _as_json(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    replaced = errors.answer(request, errors.refusal_of_status(response.status_code))
    for header in _KEPT_HEADERS:
        if header in response:
            replaced[header] = response[header]
    return replaced
