"""Pages for what went wrong: one look, a heading that says what it is, a sentence that says what to do."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from apiauth.core import clock
from apiauth.core.errors import KeysteadError, TooMany
from apiauth.services import sessions
from portal import landing
from portal.render import keep_private

ENTRY_PATH = "/vanity/api-auth"
COOKIES_BLOCKED = (
    "Your browser didn't send back the cookie that protects this form. Allow cookies for this site, then continue. "
    "Your link still works."
)
FORM_TOO_OLD = "This page was open for too long. Your link still works: choose Continue once more."


@dataclass(frozen=True, slots=True)
class Problem:
    """What an error page says. Where what is asked for may appear soon, the page offers to look again."""

    status: int
    title: str
    message: str
    code: str = ""
    reference: str = ""
    may_appear: bool = False


TITLES = {
    400: "This can't be read",
    401: "Your access has ended",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    409: "Nothing was changed",
    410: "This page isn't available any more",
    413: "This is too large",
    422: "This can't be done",
    429: "Too many changes",
    503: "Not available just now",
}
OLD_FORM = Problem(
    403, "This page was open for too long", "Nothing was changed. Go back, reload it and try again.", "old_form"
)


def refusal(request: HttpRequest, error: KeysteadError) -> HttpResponse:
    """Answer with what a service or a check refused."""
    title = TITLES.get(error.status, "Something went wrong")
    return show(request, Problem(error.status, title, error.message, error.code))


def show(request: HttpRequest, problem: Problem) -> HttpResponse:
    """Render a problem as a part for htmx, else as a page; it needs no session and no database."""
    template = "portal/_problem.html" if getattr(request, "htmx", False) else "portal/problem.html"
    response = render(request, template, {"problem": problem}, status=problem.status)
    if problem.status == TooMany.status:
        response["Retry-After"] = "60"
    keep_private(response)
    return response


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form whose token is missing or old. A landing page is offered again: its ticket is not used up."""
    if request.path == ENTRY_PATH:
        text = landing.presented_ticket(request)
        view = sessions.look_at_ticket(text, now=clock.now())
        if view.state != "ready" or view.ticket is None:
            return landing.refused(request, view)
        problem = COOKIES_BLOCKED if "cookie" in reason.lower() else FORM_TOO_OLD
        return landing.show_again(request, text, view.ticket, problem)
    return show(request, OLD_FORM)


def method_not_allowed(request: HttpRequest, allowed: str) -> HttpResponse:
    """Answer a method that an address does not take."""
    response = show(request, Problem(405, TITLES[405], "This address can't be used like that.", "method_not_allowed"))
    response["Allow"] = allowed
    return response
