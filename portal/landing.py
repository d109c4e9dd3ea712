"""The page that a redirect link opens. Looking at it uses nothing up: only its form does."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme

from apiauth.models import Session, Ticket
from apiauth.services.sessions import TicketView
from portal.render import keep_private

HOME = "/portal/"
GRACE = timedelta(seconds=10)
LONGEST_TICKET = 200
_PREFETCH_HEADERS = ("Sec-Purpose", "Purpose", "X-Moz")
_USED = "This link has already been used. Links work once."
_GONE = "This page isn't available any more."


@dataclass(frozen=True, slots=True)
class Landing:
    """What the landing page shows of a ticket that is ready."""

    ticket: str
    app_name: str
    subject: str
    leaves: str = ""
    next_path: str = ""
    posts_by_itself: bool = False
    problem: str = ""


def presented_ticket(request: HttpRequest) -> str:
    """Return the one ticket of a request, or an empty text where there is none or more than one."""
    given = request.GET.getlist("ticket") + request.POST.getlist("ticket")
    one = given[0] if len(set(given)) == 1 and len(request.GET.getlist("ticket")) < 2 else ""
    return one if len(one) <= LONGEST_TICKET and one.isascii() and one.isprintable() else ""


def presented_path(request: HttpRequest) -> str:
    """Return the page of the portal that the link wants to open; Overview where it is none of ours."""
    path = request.POST.get("next") or request.GET.get("next", "")
    is_ours = path.startswith(HOME) and url_has_allowed_host_and_scheme(path, allowed_hosts=None)
    return path if is_ours and "\\" not in path and path.isprintable() else HOME


def is_double_click(view: TicketView, held: Session | None, now: datetime) -> bool:
    """Tell whether this browser itself has just used the ticket: the commonest false alarm of such links."""
    if view.state != "used" or view.ticket is None or held is None or view.ticket.used_at is None:
        return False
    return held.ticket_id == view.ticket.pk and now - view.ticket.used_at <= GRACE


def show(request: HttpRequest, text: str, ticket: Ticket, held: Session | None) -> HttpResponse:
    """Render the page for a ticket that can be used."""
    leaves = _leaves(ticket, held)
    shown = Landing(
        ticket=text,
        app_name=ticket.app.name,
        subject=ticket.display_name,
        leaves=leaves,
        next_path=presented_path(request),
        posts_by_itself=not leaves and not any(name in request.headers for name in _PREFETCH_HEADERS),
    )
    return _page(request, "portal/entry/landing.html", {"landing": shown, "theme": ticket.theme}, 200)


def show_again(request: HttpRequest, text: str, ticket: Ticket, problem: str) -> HttpResponse:
    """Render the page after a form that could not be accepted, with the reason."""
    shown = Landing(
        ticket=text,
        app_name=ticket.app.name,
        subject=ticket.display_name,
        next_path=presented_path(request),
        problem=problem,
    )
    return _page(request, "portal/entry/landing.html", {"landing": shown, "theme": ticket.theme}, 403)


def refused(request: HttpRequest, view: TicketView) -> HttpResponse:
    """Render the page for a link that opens nothing. An unknown ticket gets the words of a used one."""
    app = view.app
    if app is not None and app.deleted_at is not None:
        return _page(request, "portal/entry/refused.html", {"message": _GONE}, 410)
    link = (view.ticket.return_url if view.ticket else "") or (app.return_url if app else "")
    context = {
        "message": _expired(view.ticket) if view.state == "expired" and view.ticket else _USED,
        "return_link": link if link.startswith(("https://", "http://")) else "",
        "app_name": app.name if app else "",
    }
    return _page(request, "portal/entry/refused.html", context, 410)


def _expired(ticket: Ticket) -> str:
    seconds = ticket.lifetime_seconds()
    count, unit = (seconds // 60, "minute") if seconds % 60 == 0 else (seconds, "second")
    return f"This link has expired. Links work for {count} {unit}{'' if count == 1 else 's'}."


def _leaves(ticket: Ticket, held: Session | None) -> str:
    """Return whom and what the browser's other session is for, where this ticket would replace it."""
    if held is None or (held.app_id == ticket.app_id and held.subject_id == ticket.subject_id):
        return ""
    return held.app.name if held.app_id != ticket.app_id else f"{held.app.name} as {held.display_name}"


def _page(request: HttpRequest, template: str, context: Mapping[str, object], status: int) -> HttpResponse:
    response = render(request, template, dict(context), status=status)
    response["Referrer-Policy"] = "no-referrer"
    keep_private(response)
    return response
