"""One address for pages, CSRF under a strict referrer policy, and errors as pages."""

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import CsrfViewMiddleware

from apiauth.core.errors import KeysteadError, Unavailable
from portal.render import keep_private
from portal.views import errors

GetResponse = Callable[[HttpRequest], HttpResponse]
PORTAL_PATHS = ("/portal", "/vanity/")
PAGE_PATHS = (*PORTAL_PATHS, "/admin")
LOOPBACK_NAME = "localhost"


class OneHostForPages:
    """Sends a page asked of `localhost` on to the address that this installation goes by.

    A browser does not send a cookie of one name to the other, so a hand-over across both would
    end without its session. Where people reach Keystead by `localhost` itself, nothing changes.
    A host that is not ours at all is refused.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path.startswith(PAGE_PATHS):
            return self.get_response(request)
        name = request.get_host().partition(":")[0].lower()  # raises DisallowedHost: a 400
        public_url: str = settings.ENVIRONMENT.public_url
        is_elsewhere = name == LOOPBACK_NAME and urlsplit(public_url).hostname != LOOPBACK_NAME
        if not is_elsewhere or request.method not in ("GET", "HEAD"):
            return self.get_response(request)
        response = HttpResponseRedirect(public_url + request.get_full_path())
        keep_private(response)
        return response


class CsrfProtection(CsrfViewMiddleware):
    """Django's check, for pages that send no referrer.

    Under `Referrer-Policy: no-referrer` a browser posts a plain form with `Origin: null`
    (Fetch, section 3.2, "append a request Origin header"), which Django takes for a stranger's.
    `Sec-Fetch-Site` cannot be set by a page, so `same-origin` there says the same as a matching
    origin. The token is compared afterwards in any case.
    """

    def _origin_verified(self, request: HttpRequest) -> bool:
        if request.headers.get("Origin") == "null":
            return request.headers.get("Sec-Fetch-Site") == "same-origin"
        return bool(super()._origin_verified(request))  # type: ignore[misc]  # Django's stubs leave it out


class PortalErrors:
    """Turns a refusal in a portal view into its page or part, and keeps every portal answer out of caches."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path.startswith(PORTAL_PATHS):
            keep_private(response)
            if response.status_code == 405 and not response.content:
                return errors.method_not_allowed(request, response["Allow"])
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer what a view raised; the rest is Django's, which logs it and shows the 500 page."""
        if not request.path.startswith(PORTAL_PATHS):
            return None
        if isinstance(exception, KeysteadError):
            return errors.refusal(request, exception)
        if isinstance(exception, OperationalError | InterfaceError):
            return errors.refusal(request, Unavailable())
        return None
