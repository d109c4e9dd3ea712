"""Who is asking: the session behind a request, its role, and the cookie that carries it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from ipaddress import ip_address
from typing import cast

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.http.response import HttpResponseBase
from django_htmx.middleware import HtmxDetails

from apiauth.core import clock
from apiauth.core.actor import Actor
from apiauth.core.cookies import session_cookie_name
from apiauth.core.errors import Conflict, NotAllowed
from apiauth.core.roles import EDITS, Action, Role, about_key
from apiauth.core.scope import Reach, owns
from apiauth.core.shown import fit_to_show
from apiauth.models import App, Key, Session
from apiauth.services import sessions
from portal.render import SeeOther, go_to

FROM_ENTRY = "entry"
LOOKS = (Action.SEE, Action.SEE_ACTIVITY, Action.SEE_COMPLIANCE, Action.EXPORT)
View = Callable[..., HttpResponseBase]


class StaleTab(Conflict):
    """This tab was opened in another session. Nothing was changed. Open the page again and repeat it there."""

    code = "stale_tab"


@dataclass(frozen=True, slots=True)
class Rights:
    """What the page may offer; the services and `portal_view` decide again when it is asked for."""

    session: Session

    @property
    def create_key(self) -> bool:
        """Tell whether a key can be made, and would then be seen."""
        has_reach = self.session.reach.conditions() is not None
        return self.session.app.is_active and has_reach and sessions.may(self.session, Action.CREATE)

    def rotate(self, key: Key) -> bool:
        """Tell whether a key can be rotated, and the overlap of an old one ended or changed."""
        return self.session.app.is_active and sessions.may(self.session, Action.ROTATE_OWN, key)

    def revoke(self, key: Key) -> bool:
        """Tell whether a key can be revoked."""
        return self.session.app.is_active and sessions.may(self.session, Action.REVOKE_OWN, key)

    def undo(self, key: Key, now: datetime) -> datetime | None:
        """Return until when the revoke of a key can be taken back; None where it can't be, or not by this session."""
        until = self.session.app.policy.revocation.undo_ends_at(key.revoked_at)
        is_theirs = key.revoked_by_kind == "subject" and self.revoke(key)
        works_again = key.ends_at is None or key.ends_at > now
        return until if until and until > now and is_theirs and works_again else None

    def disable(self, key: Key) -> bool:
        """Tell whether a key can be disabled, and enabled again."""
        return self.session.app.is_active and sessions.may(self.session, Action.DISABLE_OWN, key)

    def edit(self, key: Key) -> bool:
        """Tell whether it can be changed what a key may do, from where and until when."""
        return self.session.app.is_active and sessions.may(self.session, Action.EDIT_OWN, key)

    def edit_word(self, key: Key) -> str:
        """Return what the form that changes a key is for; empty where nothing of the key can be changed."""
        open_to = [action for action in EDITS if sessions.may(self.session, action, key)]
        if not (open_to and self.session.app.is_active):
            return ""
        words = {Action.RENAME: "Rename", Action.CHANGE_LIMITS: "Change limits"}
        return words.get(open_to[0], "Edit") if len(open_to) == 1 else "Edit"

    def locked(self, key: Key) -> dict[Action, str]:
        """Return the parts of a key that cannot be changed, by the action that it takes, and which role has it."""
        parts = {Action.RENAME: "name and note", Action.CHANGE_LIMITS: "limits"}
        parts[Action.EDIT_OWN] = "permissions, addresses, resources and end"
        return {
            action: self._needs({f"change the {part}": self._on(key, action)}, " of this key")
            for action, part in parts.items()
            if not sessions.may(self.session, action, key)
        }

    @property
    def cannot_create(self) -> str:
        """Return whom it takes to make keys, where this role may not."""
        return "" if sessions.may(self.session, Action.CREATE) else self._needs({"create keys": Action.CREATE})

    def cannot(self, key: Key) -> str:
        """Return what of a key's changes takes another role than this one, and which; empty where nothing does."""
        changes = {"edit": Action.EDIT_OWN, "rotate": Action.ROTATE_OWN}
        changes |= {"disable": Action.DISABLE_OWN, "revoke": Action.REVOKE_OWN}
        beyond = {word: action for word, action in changes.items() if not sessions.may(self.session, action, key)}
        return self._needs({word: self._on(key, action) for word, action in beyond.items()}, " this key")

    def _on(self, key: Key, action: Action) -> Action:
        return about_key(action, is_own=owns(self.session.owner, key.owner))

    def _needs(self, actions: dict[str, Action], what: str = "") -> str:
        words: dict[Role, list[str]] = {}
        for word, action in actions.items():
            words.setdefault(self.session.app.policy.authority.least_role(action), []).append(word)
        return " ".join(f"You need the {role} role to {_listed(each)}{what}." for role, each in words.items())

    @property
    def see_addresses(self) -> bool:
        """Tell whether the page may say where calls and people came from."""
        return sessions.may(self.session, Action.SEE_ADDRESSES)

    @property
    def cannot_count_addresses(self) -> str:
        """Return why the page leaves out what other addresses of a key would block; empty where it may say it."""
        if self.see_addresses:
            return ""
        needs = self._needs({"see from where calls come": Action.SEE_ADDRESSES})
        return f"What the changed addresses would block isn't counted. {needs}"

    @property
    def see_user_agents(self) -> bool:
        """Tell whether the page may say what callers call themselves."""
        return sessions.may(self.session, Action.SEE_USER_AGENTS)

    @property
    def export(self) -> bool:
        """Tell whether the page may offer what it shows as a file."""
        return sessions.may(self.session, Action.EXPORT)

    @property
    def see_compliance(self) -> bool:
        """Tell whether the page may show which keys deserve a look."""
        return sessions.may(self.session, Action.SEE_COMPLIANCE)

    @property
    def see_activity(self) -> bool:
        """Tell whether the page may show who did what."""
        return sessions.may(self.session, Action.SEE_ACTIVITY)


class PortalRequest(HttpRequest):
    """A request that has passed the session check: a view that takes it cannot have forgotten it."""

    htmx: HtmxDetails
    session_row: Session
    session_id: str
    session_ends_at: datetime
    app: App
    role: Role
    rights: Rights
    reach: Reach
    actor: Actor
    now: datetime
    return_link: str


def portal_view(
    *, action: Action = Action.SEE, or_actions: Sequence[Action] = (), methods: tuple[str, ...] = ("GET",)
) -> Callable[[View], View]:
    """Let a view see only requests of a live session whose role reaches `action`, or one of `or_actions`."""
    allowed = (*methods, "HEAD") if "GET" in methods else methods

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponseBase:
            if request.method not in allowed:
                return HttpResponseNotAllowed(allowed)
            now = clock.now()
            row = live_session(request, now=now)
            if row is None:
                return _without_session(request)
            if request.method in ("GET", "HEAD") and request.GET.get("from") == FROM_ENTRY:
                return SeeOther(_without_marker(request))
            bound = _bind(request, row, now)
            _check(bound, next((each for each in or_actions if sessions.may(row, each)), action))
            return view(bound, *args, **kwargs)

        return checked

    return decorate


def also_allowed(action: Action) -> Callable[[View], View]:
    """Let a view that one action opens see only requests whose role reaches another one too."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: PortalRequest, *args: object, **kwargs: object) -> HttpResponseBase:
            _check(request, action)
            return view(request, *args, **kwargs)

        return checked

    return decorate


def live_session(request: HttpRequest, *, now: datetime) -> Session | None:
    """Return the live session that the browser's cookie opens, if any."""
    token = request.COOKIES.get(session_cookie_name(is_https=settings.ENVIRONMENT.is_https), "")
    return sessions.find_session(token, now=now)


def client_address(request: HttpRequest) -> str | None:
    """Return the address of the one who asks, where it can be known."""
    text = getattr(request, "client_ip", None) or request.META.get("REMOTE_ADDR", "")
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def user_agent(request: HttpRequest) -> str:
    """Return what the browser calls itself, without characters that a database or a log cannot hold."""
    return fit_to_show(request.headers.get("User-Agent", ""))[:400]


def return_address(session: Session | None, app: App | None) -> str:
    """Return the link back to the product, or an empty text where there is none that a browser may follow."""
    link = (session.return_url if session else "") or (app.return_url if app else "")
    return link if link.startswith(("https://", "http://")) else ""


def _without_session(request: HttpRequest) -> HttpResponse:
    marker = f"?from={FROM_ENTRY}" if request.GET.get("from") == FROM_ENTRY else ""
    if not request.htmx:  # type: ignore[attr-defined]  # set by django-htmx's middleware
        return SeeOther(f"/portal/expired{marker}")
    response = go_to(request, "/portal/expired")
    response.status_code = 401
    return response


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _without_marker(request: HttpRequest) -> str:
    query = request.GET.copy()
    query.pop("from")
    return f"{request.path}?{query.urlencode()}" if query else request.path


def _bind(request: HttpRequest, row: Session, now: datetime) -> PortalRequest:
    bound = cast(PortalRequest, request)
    bound.session_row, bound.app, bound.role, bound.now = row, row.app, Role(row.role), now
    bound.session_id, bound.session_ends_at = str(row.pk), sessions.ends_at(row)
    bound.rights, bound.reach, bound.return_link = Rights(row), row.reach, return_address(row, row.app)
    bound.actor = sessions.actor_of(
        row, via="portal", client_ip=client_address(request), user_agent=user_agent(request)
    )
    return bound


def _check(request: PortalRequest, action: Action) -> None:
    is_change = request.method == "POST"
    sessions.authorize(request.session_row, action, is_change=is_change, actor=request.actor, now=request.now)
    if action not in LOOKS and not request.app.is_active:
        raise NotAllowed(f"{request.app.name} is paused. Its keys can be seen, not changed.")
    if request.method == "POST" and request.POST.get("session") != str(request.session_row.pk):
        raise StaleTab
