"""The exchange of a ticket for a session by a page's own fetch; nothing else ever uses a ticket up here."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from ninja import Router

from apiauth.core import clock
from apiauth.core.cookies import give_session
from apiauth.core.errors import Invalid, NotAllowed, NotFound, TicketRefused
from apiauth.http import cors
from apiauth.http.auth import client_address, live_session, user_agent
from apiauth.http.errors import ForeignOrigin
from apiauth.http.openapi.describe import answers, reads_form
from apiauth.http.session_forms import ExchangeForm
from apiauth.http.wire import EnvelopeJson, OpenedSessionJson, SessionJson, envelope, session_json
from apiauth.models import Session
from apiauth.services import sessions

router = Router()
_PREFETCH_HEADERS = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
_FETCH_HEADERS = ("Sec-Fetch-Mode", "Sec-Fetch-Dest", "Sec-Fetch-Site", "Sec-Fetch-User")


class NotAFetch(NotAllowed):
    """A ticket is exchanged by a page's own request, not by opening this address. The ticket was not used up."""

    code = "not_a_fetch"


@router.api_operation(["GET", "POST"], "/session/ticket/exchange")
@answers(EnvelopeJson[OpenedSessionJson], 401, 403, headers=["Set-Cookie"])
@reads_form(ExchangeForm)
def exchange(request: HttpRequest) -> HttpResponse:
    """Use up a ticket, open its session and hand over the cookie; a session held before ends."""
    ticket, verifier = _presented(request, "ticket"), _presented(request, "code_verifier")
    if not ticket:
        raise Invalid("Send ticket.", field="ticket")
    now = clock.now()
    _require_own_fetch(request)
    _require_listed_origin(request, ticket)
    try:
        opened = sessions.exchange_ticket(
            ticket,
            client_ip=client_address(request),
            user_agent=user_agent(request),
            now=now,
            via="session_api",
            replaces=live_session(request, now=now),
            code_verifier=verifier or None,
        )
    except NotFound:
        raise TicketRefused from None  # a deleted app's ticket is refused like any other
    shown: OpenedSessionJson = {"success": True, "message": "The session is open.", **_shown(opened.session)}
    response = JsonResponse(envelope(shown))
    give_session(
        response,
        opened.token,
        is_https=settings.ENVIRONMENT.is_https,
        is_embedded=_is_embedded(request, opened.session),
    )
    response["Referrer-Policy"] = "no-referrer"
    return response


def _is_embedded(request: HttpRequest, session: Session) -> bool:
    """Tell whether a page of another site asks, whose browser would drop the usual cookie, and may have the other."""
    is_from_another_site = request.headers.get("Sec-Fetch-Site") == "cross-site"
    return is_from_another_site and session.app.deployment.is_embedded


def _shown(session: Session) -> SessionJson:
    return session_json(session, ends_at=sessions.ends_at(session))


def _presented(request: HttpRequest, field: str) -> str:
    """Return the one value of a field, from the query or a form. Raises Invalid where there are several."""
    values = request.GET.getlist(field)
    if request.method == "POST":
        values = values + request.POST.getlist(field)
    if len(values) > 1:
        raise Invalid(f"Send {field} once.", field=field)
    return str(values[0]) if values else ""


def _require_own_fetch(request: HttpRequest) -> None:
    """Return for a script's own fetch, or a program's call; raise NotAFetch for what a browser does by itself."""
    headers = request.headers
    if any(name in headers for name in _PREFETCH_HEADERS):
        raise NotAFetch
    if any(name in headers for name in _FETCH_HEADERS):
        by_script = headers.get("Sec-Fetch-Mode") in ("cors", "same-origin")
        if not (by_script and headers.get("Sec-Fetch-Dest") == "empty"):
            raise NotAFetch
        return
    accept = headers.get("Accept", "").lower()
    asks_for_json = "application/json" in accept and "text/html" not in accept
    if not asks_for_json and "Origin" not in headers:
        raise NotAFetch


def _require_listed_origin(request: HttpRequest, ticket: str) -> None:
    """Return where no page asks, or one that the ticket's deployment lists.

    Raises ForeignOrigin for an origin that nobody lists, TicketRefused for another deployment's:
    whether the ticket exists is not told to either.
    """
    view = sessions.look_at_ticket(ticket, now=clock.now())
    origin = request.headers.get("Origin")
    if origin is None:
        return
    if not cors.is_listed_anywhere(origin):
        raise ForeignOrigin
    if view.app is None or origin not in view.app.deployment.allowed_origins:
        raise TicketRefused
    cors.bind(request, view.app.deployment.allowed_origins)
