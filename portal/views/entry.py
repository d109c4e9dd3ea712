"""The way in and out: a ticket becomes a session; a session ends."""

from datetime import datetime

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from apiauth.core import clock
from apiauth.core.cookies import give_session, take_session
from apiauth.core.errors import TicketRefused
from apiauth.services import sessions
from portal import landing
from portal.render import SeeOther
from portal.session import (
    FROM_ENTRY,
    PortalRequest,
    client_address,
    live_session,
    portal_view,
    return_address,
    user_agent,
)


@require_http_methods(["GET", "HEAD", "POST"])
def enter(request: HttpRequest) -> HttpResponse:
    """Show the landing page of a ticket, or exchange it where the page's form was sent."""
    now = clock.now()
    text = landing.presented_ticket(request)
    return _exchange(request, text, now) if request.method == "POST" else _land(request, text, now)


@require_http_methods(["GET", "HEAD"])
def page(request: HttpRequest, name: str) -> HttpResponse:
    """Send on to the portal's page: products may have kept the addresses that the vanity model gives it."""
    return SeeOther(reverse(f"portal:{name}"))


def _land(request: HttpRequest, text: str, now: datetime) -> HttpResponse:
    view = sessions.look_at_ticket(text, now=now)
    held = live_session(request, now=now)
    is_plain_visit = not text and held is not None and "ticket" not in request.GET
    if is_plain_visit or landing.is_double_click(view, held, now):
        return SeeOther(landing.HOME)
    if view.state != "ready" or view.ticket is None or view.ticket.app.deleted_at is not None:
        return landing.refused(request, view)
    return landing.show(request, text, view.ticket, held)


def _exchange(request: HttpRequest, text: str, now: datetime) -> HttpResponse:
    held = live_session(request, now=now)
    view = sessions.look_at_ticket(text, now=now)
    if landing.is_double_click(view, held, now):
        return SeeOther(landing.HOME)
    if view.app is None or view.app.deleted_at is not None:
        return landing.refused(request, view)
    try:
        opened = sessions.exchange_ticket(
            text,
            client_ip=client_address(request),
            user_agent=user_agent(request),
            now=now,
            via="portal",
            replaces=held,
        )
    except TicketRefused:
        return landing.refused(request, sessions.look_at_ticket(text, now=now))
    path = landing.presented_path(request)
    response = SeeOther(f"{path}{'&' if '?' in path else '?'}from={FROM_ENTRY}")
    give_session(response, opened.token, is_https=settings.ENVIRONMENT.is_https)
    return response


@require_http_methods(["GET", "HEAD"])
def expired(request: HttpRequest) -> HttpResponse:
    """Say that access has ended, or that the browser never kept the cookie."""
    blocked = request.GET.get("from") == FROM_ENTRY
    context = {"is_cookie_blocked": blocked, "minutes": sessions.idle_limit().seconds // 60}
    return render(request, "portal/entry/expired.html", context, status=401)


@portal_view(methods=("POST",))
def leave(request: PortalRequest) -> HttpResponse:
    """End the session at the person's wish."""
    sessions.end_session(request.session_row, reason="signed out", now=request.now, via="portal")
    link = return_address(request.session_row, request.app)
    response = render(request, "portal/entry/left.html", {"return_link": link, "app_name": request.app.name})
    take_session(response, request.COOKIES, is_https=settings.ENVIRONMENT.is_https)
    return response
