"""Who calls a JSON door: a product's backend by its backend key, or a browser by its session cookie."""

import re
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest
from ninja.security.base import AuthBase

from apiauth.core import clock
from apiauth.core.actor import Actor
from apiauth.core.cookies import EMBED_NAME, session_cookie_name
from apiauth.core.errors import NotAuthenticated
from apiauth.core.roles import Action, Role
from apiauth.core.shown import fit_to_show
from apiauth.http import cors
from apiauth.http.call_limits import count_call
from apiauth.http.errors import ForeignOrigin, MissingScope
from apiauth.models import App, BackendKey, Session
from apiauth.services import deployments, sessions, tickets

_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] ([!-~]{1,200})")
TICKETS_ISSUE = "tickets:issue"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class BackendCaller:
    """A product's backend: everything it asks for is looked up in its deployment."""

    backend_key: BackendKey
    deployment_id: int
    actor: Actor
    now: datetime

    @property
    def credential(self) -> BackendKey:
        """Return the row that the caller was recognised by."""
        return self.backend_key


@dataclass(frozen=True, slots=True)
class SessionCaller:
    """A subject in a live session: everything asked for is looked up in the session's app."""

    session: Session
    app: App
    role: Role
    actor: Actor
    now: datetime

    @property
    def credential(self) -> Session:
        """Return the row that the caller was recognised by."""
        return self.session


class BackendRequest(HttpRequest):
    """A request that a backend key vouches for."""

    auth: BackendCaller


class SessionRequest(HttpRequest):
    """A request of a live session."""

    auth: SessionCaller


class BackendAccess(AuthBase):
    """Lets a request through whose backend key has one scope."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__()

    def __call__(self, request: HttpRequest) -> BackendCaller:
        """Return the caller. Raises NotAuthenticated, TooMany, MissingScope."""
        match = _BEARER.fullmatch(request.headers.get("Authorization", ""))
        if match is None:
            raise NotAuthenticated("Send a backend key: `Authorization: Bearer <backend key>`.")
        await_body(request)
        now = clock.now()
        row = deployments.authenticate_backend_key(match[1], now=now)
        count_call(request, row)
        actor = Actor(
            kind="backend_key",
            id=str(row.id),
            name=row.name,
            via="api",
            client_ip=client_address(request),
            user_agent=user_agent(request),
        )
        if self.scope not in row.scopes:
            if self.scope == TICKETS_ISSUE:
                details = {"at": "issue", "missing": self.scope}
                tickets.note_refusal(
                    deployment_id=row.deployment_id, app_id=None, details=details, actor=actor, now=now
                )
            raise MissingScope(self.scope)
        return BackendCaller(row, row.deployment_id, actor, now)


class SessionAccess(AuthBase):
    """Lets a request through whose session reaches one action.

    Cookies come along with forms that other sites send, so a change needs an Origin that the
    session's deployment lists: the clients can send no token.
    """

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = "ks_session"

    def __init__(self, action: Action = Action.SEE) -> None:
        self.action = action
        super().__init__()

    def __call__(self, request: HttpRequest) -> SessionCaller:
        """Return the caller. Raises NotAuthenticated, TooMany, ForeignOrigin, NotAllowed."""
        await_body(request)
        now = clock.now()
        session = live_session(request, now=now)
        if session is None:
            raise NotAuthenticated("There is no session, or it has ended. Open this page from your product again.")
        listed = session.app.deployment.allowed_origins
        cors.bind(request, listed)
        count_call(request, session)
        if request.method not in _SAFE_METHODS and request.headers.get("Origin") not in listed:
            raise ForeignOrigin
        role = Role(session.role)
        actor = sessions.actor_of(
            session, via="session_api", client_ip=client_address(request), user_agent=user_agent(request)
        )
        is_change = request.method not in _SAFE_METHODS
        sessions.authorize(session, self.action, is_change=is_change, actor=actor, now=now)
        return SessionCaller(session, session.app, role, actor, now)


def live_session(request: HttpRequest, *, now: datetime) -> Session | None:
    """Return the live session that one of the request's cookies opens, if any."""
    own = sessions.find_session(
        request.COOKIES.get(session_cookie_name(is_https=settings.ENVIRONMENT.is_https), ""), now=now
    )
    return own or sessions.find_embedded_session(request.COOKIES.get(EMBED_NAME, ""), now=now)


def await_body(request: HttpRequest) -> None:
    """Return once the body is there: it can take its time, and who calls, and when, is settled only then."""
    _ = request.body


def client_address(request: HttpRequest) -> str | None:
    """Return the address of the one who asks, where it can be known."""
    try:
        return str(ip_address(request.META.get("REMOTE_ADDR", "")))
    except ValueError:
        return None


def user_agent(request: HttpRequest) -> str:
    """Return what the caller calls itself, without what a database cannot hold."""
    return fit_to_show(request.headers.get("User-Agent", ""))[:400]
