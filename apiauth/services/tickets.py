"""Tickets: issued by a product's backend, looked at without harm, and cleared away."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction

from apiauth.core.actor import Actor
from apiauth.core.errors import Invalid, Unprocessable
from apiauth.core.events import Event
from apiauth.core.metadata import check_metadata
from apiauth.core.permissions import check_permissions
from apiauth.core.roles import Role
from apiauth.core.scope import Owner, Reach, Scope
from apiauth.core.secrets import TICKET_PREFIX, SecretKind, new_secret
from apiauth.models import ActivityEntry, App, Deployment, Ticket
from apiauth.models.fields import insert
from apiauth.services import activity
from apiauth.services.apps import find_app
from apiauth.services.text import plain_owner_id, plain_text, web_address

ENTRY_PATH = "/vanity/api-auth"
_REFUSALS_EVERY = timedelta(hours=1)
THEMES = ("", "light", "dark", "system")
_LOCALE = re.compile(
    r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}"
)  # a language tag: RFC 5646, section 2.1, without extensions
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # base64url of a SHA-256: RFC 7636, section 4.2


@dataclass(frozen=True, slots=True)
class TicketRequest:
    """What a product's backend asks for; everything but the app is optional."""

    app_slug: str
    expires_in: int | None = None
    subject_id: str = ""
    subject_name: str = ""
    subject_email: str = ""
    organization_id: str | None = None
    workspace_id: str | None = None
    role: str | None = None
    permissions: list[str] | None = None
    longest_expiry_days: int | None = None
    key_cap: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    return_url: str = ""
    theme: str = ""
    locale: str = ""
    code_challenge: str = ""


@dataclass(frozen=True, slots=True)
class IssuedTicket:
    """A ticket in the one moment in which its text exists."""

    row: Ticket
    text: str = field(repr=False)

    @property
    def url(self) -> str:
        """Return the address to send the person to."""
        return f"{settings.ENVIRONMENT.public_url}{ENTRY_PATH}?{urlencode({'ticket': self.text})}"


@transaction.atomic
def issue_ticket(*, deployment_id: int, request: TicketRequest, actor: Actor, now: datetime) -> IssuedTicket:
    """Issue a ticket for one app and one subject.

    `expires_in` is in seconds, 60 unless given, at most 300. Raises NotFound for an unknown app,
    Invalid that names the field, Unprocessable for a life beyond the bound, and for what reaches
    further than the app and its policy do.
    """
    app = find_app(deployment_id=deployment_id, slug=request.app_slug)
    lifetime = _lifetime(request.expires_in)
    values = _values(app, request)
    _refuse_wider(app, values)
    secret = new_secret(SecretKind.TICKET, TICKET_PREFIX, settings.ENVIRONMENT.peppers)
    row = insert(
        lambda: Ticket(
            deployment_id=deployment_id,
            app=app,
            digest=secret.digest,
            pepper_version=secret.pepper_version,
            issued_by=actor.name[:100],
            created_at=now,
            expires_at=now + lifetime,
            **values,
        )
    )
    details = {"ticket": str(row.id), "role": row.role, "subject_id": row.subject_id}
    activity.record(
        Event.TICKET_ISSUED, actor=actor, now=now, deployment_id=deployment_id, app_id=app.id, details=details
    )
    return IssuedTicket(row, secret.text)


@transaction.atomic
def note_refusal(
    *, deployment_id: int, app_id: int | None, details: Mapping[str, str], actor: Actor, now: datetime
) -> None:
    """Note that a ticket was refused, to its holder or to a backend key: once an hour, so that nobody floods the log.

    It is the proof that the gate was seen to refuse, not a count of refusals.
    """
    chain = activity.chain_name(deployment_id=deployment_id, app_id=app_id)
    last = ActivityEntry.objects.in_chain(chain).newest_of(Event.TICKET_REFUSED)
    if last is None or now - last.at >= _REFUSALS_EVERY:
        where = {"deployment_id": deployment_id, "app_id": app_id}
        activity.record(Event.TICKET_REFUSED, actor=actor, now=now, details=details, **where)


def _values(app: App, request: TicketRequest) -> dict[str, Any]:
    check_metadata(request.metadata)
    if request.theme not in THEMES:
        raise Invalid("theme must be light, dark or system.", field="theme")
    if request.locale and not (len(request.locale) <= 35 and _LOCALE.fullmatch(request.locale)):
        raise Invalid("locale must be a language tag such as en or pt-BR.", field="locale")
    if request.code_challenge and not _CHALLENGE.fullmatch(request.code_challenge):
        raise Invalid(
            "code_challenge must be 43 characters: the SHA-256 of the verifier in base64url.", field="code_challenge"
        )
    permissions = request.permissions
    return {
        "subject_id": plain_owner_id(request.subject_id, field="subject.id", required=False),
        "subject_name": plain_text(request.subject_name, field="subject.name", most=200, required=False),
        "subject_email": plain_text(request.subject_email, field="subject.email", most=254, required=False),
        "organization_id": _belonging(request.organization_id, app.organization_id, "organization_id"),
        "workspace_id": _belonging(request.workspace_id, app.workspace_id, "workspace_id"),
        "role": _role(app.default_role if request.role is None else request.role),
        "permissions": None if permissions is None else check_permissions(permissions),
        "longest_expiry_days": _count(request.longest_expiry_days, "longest_expiry_days", 36_500),
        "key_cap": _count(request.key_cap, "key_cap", 100_000),
        "metadata": dict(request.metadata),
        "return_url": _return_url(app, request.return_url),
        "theme": request.theme,
        "locale": request.locale,
        "code_challenge": request.code_challenge,
    }


def _belonging(given: str | None, own: str | None, name: str) -> str | None:
    """Return the organization or workspace that a session is for: the app's own, where the app belongs to one."""
    text = plain_owner_id(given, field=name) if given is not None else own
    if own is not None and text != own:
        raise Unprocessable(f"This app belongs to another {name.removesuffix('_id')}.", field=name)
    return text


def _refuse_wider(app: App, values: Mapping[str, Any]) -> None:
    """Raise Unprocessable that names the field where a ticket would reach further than the app and its policy."""
    beyond = sorted(set(values["permissions"] or ()) - set(app.permissions)) if app.permissions else []
    if beyond:
        raise Unprocessable(f"{app.name} has no permission called {beyond[0]}.", field="permissions")
    longest, wanted = app.policy.expiry.longest_days, values["longest_expiry_days"]
    if longest is not None and wanted is not None and wanted > longest:
        raise Unprocessable(f"Keys of this app last at most {longest} days.", field="longest_expiry_days")
    scope = app.policy.scope.model
    owner = Owner(values["subject_id"] or None, values["organization_id"], values["workspace_id"])
    if Reach(app.id, scope, owner).conditions() is None:
        field = {Scope.USER: "subject.id"}.get(scope, f"{scope}_id")
        raise Unprocessable(f"Sessions of this app reach the keys of one {scope}. Send {field}.", field=field)


def _lifetime(expires_in: int | None) -> timedelta:
    environment = settings.ENVIRONMENT
    if expires_in is None:
        return timedelta(seconds=environment.ticket_seconds)
    if isinstance(expires_in, bool) or not isinstance(expires_in, int):
        raise Invalid("expires_in must be a whole number of seconds.", field="expires_in")
    if expires_in < 1:
        raise Invalid("expires_in must be at least 1 second.", field="expires_in")
    if expires_in > environment.ticket_most_seconds:
        raise Unprocessable(
            f"A ticket lives for at most {environment.ticket_most_seconds} seconds.", field="expires_in"
        )
    return timedelta(seconds=expires_in)


def _role(role: object) -> str:
    if role not in [known.value for known in Role]:
        raise Invalid("role must be viewer, member, admin or owner.", field="role")
    return str(role)


def _count(value: object, name: str, most: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise Invalid(f"{name} must be a whole number from 1 to {most}.", field=name)
    return value


def _return_url(app: App, link: str) -> str:
    """Return a link back to the product: on an origin that the deployment lists, or where the app's own link is."""
    text = plain_text(link, field="return_url", most=2000, required=False)
    if not text:
        return app.return_url
    listed = {*Deployment.objects.get(pk=app.deployment_id).allowed_origins, _origin(app.return_url)}
    if not _origin(text) or _origin(text) not in listed:
        raise Unprocessable("return_url must lie on one of the deployment's origins.", field="return_url")
    return text


def _origin(link: str) -> str:
    parts = web_address(link)
    return f"{parts.scheme}://{parts.netloc}".lower() if parts else ""
