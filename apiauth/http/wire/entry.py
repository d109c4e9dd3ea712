"""Tickets, sessions and what a page learns before it has one, on the wire."""

import base64
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, Generic, Literal, NotRequired, ParamSpec, TypeVar, cast
from urllib.parse import urlsplit

from django.http import HttpRequest
from typing_extensions import TypedDict

from apiauth.core.policy import ExpiryMode
from apiauth.core.roles import Action, Role, reachable
from apiauth.http.wire.apps import PermissionDetailJson
from apiauth.http.wire.limits import LimitRuleJson, limits_of
from apiauth.http.wire.moments import MomentText, moment_json
from apiauth.models import App, Session
from apiauth.services import catalogue
from apiauth.services.tickets import IssuedTicket

Data = TypeVar("Data")
Parameters = ParamSpec("Parameters")
RequestType = TypeVar("RequestType", bound=HttpRequest)


class EnvelopeJson(TypedDict, Generic[Data]):
    """What the browser session API wraps its answers in."""

    status: Literal[200]
    message: str
    data: Data
    session: None
    errors: None


class EmptyJson(TypedDict):
    """Nothing but that it is done."""


class DoneJson(TypedDict):
    """That it is done."""

    success: Literal[True]


class HealthJson(TypedDict):
    """How this process is."""

    status: Literal["ok", "ready"]


class TicketJson(TypedDict):
    """A ticket, in the one answer that holds its text."""

    ticket: str | None
    expires_at: int
    url: str | None


class NewTicketJson(TicketJson):
    """A ticket that was just issued; its text is null where the call was only sent again."""

    replayed: NotRequired[bool]


class PresetJson(TypedDict):
    """Some permissions under one name."""

    name: str
    permissions: list[str]


class SessionAppJson(TypedDict):
    """The app that a session is for."""

    id: str
    app_slug: str
    name: str
    key_prefix: str
    description: NotRequired[str]
    is_active: bool
    permissions: list[str]
    resources: list[str]
    default_overlap_seconds: int
    rate_limits: list[LimitRuleJson]


class KeyExpiryJson(TypedDict):
    """When a key that the session makes has to end, by the app's policy and the session's own bound."""

    mode: ExpiryMode
    longest_days: int | None
    default_days: int | None


class SubjectJson(TypedDict):
    """Whom the session acts for, as the product said; empty where it did not."""

    id: str
    name: str
    email: str


class SessionJson(TypedDict):
    """A session, what it may do at most, and its app."""

    session_id: str
    subject: SubjectJson
    organization_id: str | None
    workspace_id: str | None
    role: Role
    actions: list[Action]
    permissions: list[str] | None
    permission_details: dict[str, PermissionDetailJson]
    presets: list[PresetJson]
    key_expiry: KeyExpiryJson
    longest_expiry_days: int | None
    key_cap: int | None
    return_url: str
    theme: str
    locale: str
    ends_at: MomentText
    api_auth_app: SessionAppJson


class OpenedSessionJson(SessionJson):
    """A session that was just opened; its cookie comes with the answer."""

    success: Literal[True]
    message: str


class UserInterfaceJson(TypedDict):
    """What a page could theme; empty."""

    theme_tokens: dict[str, Any]


class InstallationJson(TypedDict):
    """What a browser needs to know before it has a session: facts of the installation, of no deployment."""

    mode: Literal["production"]
    backend_host: str
    frontend_host: str
    publishable_key: str
    maintenance_mode: bool
    ui_settings: UserInterfaceJson
    auth_settings: dict[str, Any]
    b2b_settings: dict[str, Any]
    restrictions: dict[str, Any]
    social_connections: list[Any]


def envelope(data: Data) -> EnvelopeJson[Data]:
    """Wrap what the browser session API answers with."""
    return {"status": 200, "message": "", "data": data, "session": None, "errors": None}


def wrapped(
    operation: Callable[Concatenate[RequestType, Parameters], Data],
) -> Callable[Concatenate[RequestType, Parameters], EnvelopeJson[Data]]:
    """Let an operation return its data alone, and its door answer with the envelope."""

    @wraps(operation)
    def enveloped(request: RequestType, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> EnvelopeJson[Data]:
        return envelope(operation(request, *args, **kwargs))

    return enveloped


def ticket_json(issued: IssuedTicket) -> TicketJson:
    """Return a ticket; its end is in Unix seconds."""
    return {"ticket": issued.text, "expires_at": int(issued.row.expires_at.timestamp()), "url": issued.url}


def session_json(session: Session, *, ends_at: datetime) -> SessionJson:
    """Return a session, what it may do at most, and its app, for the browser."""
    app = session.app
    offered = catalogue.offered(app.permissions, session.permissions)
    return {
        "session_id": str(session.id),
        "subject": {"id": session.subject_id, "name": session.subject_name, "email": session.subject_email},
        "organization_id": session.organization_id,
        "workspace_id": session.workspace_id,
        "actions": reachable(app.policy.authority, Role(session.role)),
        "role": cast("Role", session.role),  # a text from the database; its constraint holds it to a role
        "permissions": session.permissions,
        "permission_details": {name: _detail(app, name) for name in offered},
        "presets": _presets(app, offered),
        "key_expiry": _key_expiry(session),
        "longest_expiry_days": session.longest_expiry_days,
        "key_cap": session.key_cap,
        "return_url": session.return_url,
        "theme": session.theme,
        "locale": session.locale,
        "ends_at": moment_json(ends_at),
        "api_auth_app": _session_app_json(app),
    }


def _session_app_json(app: App) -> SessionAppJson:
    shape: SessionAppJson = {
        "id": str(app.id),
        "app_slug": app.slug,
        "name": app.name,
        "key_prefix": app.key_prefix,
        "is_active": app.is_active,
        "rate_limits": limits_of(app),
        "permissions": app.permissions,
        "resources": app.resources,
        "default_overlap_seconds": app.default_overlap_seconds,
    }
    if app.description is not None:
        shape["description"] = app.description
    return shape


def _key_expiry(session: Session) -> KeyExpiryJson:
    found = session.app.policy.expiry.within(session.longest_expiry_days)
    return {"mode": found.mode, "longest_days": found.longest_days, "default_days": found.default_days}


def _detail(app: App, permission: str) -> PermissionDetailJson:
    said = app.permission_details.get(permission, {})
    return {"description": said.get("description", ""), "group": said.get("group", "")}


def _presets(app: App, offered: list[str]) -> list[PresetJson]:
    found = catalogue.presets(app.permission_presets, offered)
    return [{"name": preset.name, "permissions": list(preset.permissions)} for preset in found]


def installation_json(public_url: str) -> InstallationJson:
    """Return what a browser needs to know before it has a session: facts of the installation, of no deployment."""
    return {
        "mode": "production",
        "backend_host": public_url,
        "frontend_host": urlsplit(public_url).netloc,
        "publishable_key": f"pk_live_{base64.b64encode(public_url.encode()).decode()}",
        "maintenance_mode": False,
        "ui_settings": {"theme_tokens": {}},
        "auth_settings": {},
        "b2b_settings": {},
        "restrictions": {},
        "social_connections": [],
    }
