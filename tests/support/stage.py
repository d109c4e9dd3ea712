"""Three tenants with one of everything: the one who asks, another app of the same deployment, another deployment."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.test import Client

from apiauth.core import clock, ids
from apiauth.core.actor import Actor
from apiauth.models import App, Decision, Key, KeyStatus, RateLimitScheme, Session
from apiauth.services import apps, deployments, keys, limits, sessions, tickets
from apiauth.services.deployments import IssuedBackendKey
from tests.support.decisions import name_of
from tests.support.routes import FORM, JSON, RULE, Operation

ACTOR = Actor(kind="command", id="test", name="Test", via="command")
ABSENT = {"app_slug": "aa_absent", "slug": "absent", "key_id": "123456789012345678", "subject_id": "nobody"}
NONSENSE = {"app_slug": "no%20slug", "slug": "no%20scheme", "key_id": "1%3Bdrop", "subject_id": "no%20body"}
Place = Mapping[str, str]


@dataclass(frozen=True)
class Tenant:
    """One app and what belongs to it; every name starts with the tenant's own."""

    name: str
    origin: str
    app: App
    key: Key
    key_text: str
    scheme: RateLimitScheme
    session: Session
    session_token: str
    backend_key: IssuedBackendKey
    decision: Decision

    @property
    def deployment_id(self) -> int:
        """Return the id of the deployment that owns the app."""
        return self.app.deployment_id

    @property
    def subject(self) -> Actor:
        """Return the session's subject as the one who acts."""
        return sessions.actor_of(self.session, via="portal", client_ip=None, user_agent="tests")

    @property
    def place(self) -> Place:
        """Return what this tenant's things are called in an address, by the parameter's name."""
        return {
            "app_slug": self.app.slug,
            "slug": self.scheme.slug,
            "key_id": str(self.key.id),
            "subject_id": self.session.subject_id,
            "request_id": ids.request_id(self.decision.id),
        }

    def backend(self) -> Client:
        """Return a client that speaks for the deployment."""
        return Client(headers={"Authorization": f"Bearer {self.backend_key.secret.text}"})

    def page(self) -> Client:
        """Return a client like the product's own page in an owner's session."""
        return self.page_of(self.session_token)

    def page_of(self, token: str) -> Client:
        """Return a client like the product's own page, with another session's token."""
        client = Client(headers={"Origin": self.origin})
        client.cookies["ks_session"] = token
        return client

    def client(self, operation: Operation) -> Client:
        """Return a client that may do this operation."""
        return self.page() if operation.is_frontend else self.backend()

    def ticket(self, **fields: Any) -> str:
        """Issue a ticket of the app and return its text."""
        request = tickets.TicketRequest(
            app_slug=self.app.slug, **{"subject_name": f"{self.name} person", "role": "owner", **fields}
        )
        issued = tickets.issue_ticket(deployment_id=self.deployment_id, request=request, actor=ACTOR, now=clock.now())
        return issued.text

    def new_session(self, **fields: Any) -> sessions.OpenedSession:
        """Open another session of the app."""
        return sessions.exchange_ticket(
            self.ticket(**fields), client_ip="127.0.0.1", user_agent="tests", now=clock.now(), via="portal"
        )

    def marks(self) -> set[str]:
        """Return texts that nobody else's answer may hold."""
        return {self.name, str(self.app.id), str(self.key.id), ids.request_id(self.decision.id), str(self.session.id)}


@dataclass(frozen=True)
class Stage:
    """Who acts, and who must notice nothing."""

    own: Tenant
    sibling: Tenant
    foreign: Tenant


def build() -> Stage:
    """Fill the database with three tenants."""
    ours = deployments.create_deployment(
        name="Ours", allowed_origins=["http://127.0.0.1:9000"], actor=ACTOR, now=clock.now()
    )
    theirs = deployments.create_deployment(
        name="Theirs", allowed_origins=["https://victim.example"], actor=ACTOR, now=clock.now()
    )
    return Stage(
        _tenant("own", ours.id, "http://127.0.0.1:9000"),
        _tenant("sibling", ours.id, "http://127.0.0.1:9000"),
        _tenant("foreign", theirs.id, "https://victim.example"),
    )


def _tenant(name: str, deployment_id: int, origin: str) -> Tenant:
    made = {"deployment_id": deployment_id, "actor": ACTOR, "now": clock.now()}
    fields = {"slug": f"{name}_app", "name": f"{name} app", "key_prefix": "nw_live", "permissions": ["routes:read"]}
    fields["policy"] = {"revocation": {"undo_minutes": 10}}
    app = apps.create_app(fields=fields, **made)
    scheme = limits.create_scheme(slug=f"{name}_scheme", name=f"{name} scheme", rules=[RULE], **made)
    issued = keys.create_key(app_id=app.id, name=f"{name} key", actor=ACTOR, now=clock.now())
    backend_key = deployments.issue_backend_key(name=f"{name} backend", **made)
    # Its last use is written at most once a minute: written now, it is not a change that a test would have to forgive.
    deployments.authenticate_backend_key(backend_key.secret.text, now=clock.now())
    request = tickets.TicketRequest(
        app_slug=app.slug, subject_id=f"{name}_1", subject_name=f"{name} person", role="owner"
    )
    ticket = tickets.issue_ticket(request=request, **made)
    opened = sessions.exchange_ticket(
        ticket.text, client_ip="127.0.0.1", user_agent="tests", now=clock.now(), via="portal"
    )
    _decision(app, issued.key)
    decision = _decision(app, issued.key)
    return Tenant(
        name, origin, app, issued.key, issued.secret.text, scheme, opened.session, opened.token, backend_key, decision
    )


def _decision(app: App, key: Key) -> Decision:
    moment = clock.from_ms(clock.to_ms(clock.now() - timedelta(minutes=1)))
    return Decision.objects.create(
        id=ids.new_decision_id(clock.to_ms(moment)),
        decided_at=moment,
        app_id=app.id,
        key_id=key.id,
        key_name=name_of(key.name),
        allowed=True,
        method="GET",
        path=f"/{app.slug}",
        client_ip="203.0.113.24",
        user_agent=f"{app.slug}/1",
        required_permissions=[],
        rate_limits=[],
        snapshot_age_ms=0,
        duration_us=1,
        node=name_of("test"),
    )


def send(
    client: Client, operation: Operation, place: Place, sent: Any = None, query: str = "", **request: Any
) -> tuple[int, bytes]:
    """Send an operation's request under a fixed request id; return status and body."""
    address = operation.path.format_map(place) + query
    kind, content = JSON if operation.body else FORM, sent
    if isinstance(sent, dict):
        content = json.dumps(sent) if operation.body else "&".join(f"{name}={value}" for name, value in sent.items())
    headers = {"X-Request-Id": "same", **request.pop("headers", {})}
    options = {"content_type": kind if operation.is_change else "", **request}
    response = client.generic(operation.method, address, content or "", headers=headers, **options)
    return response.status_code, response.getvalue()


def good(operation: Operation, tenant: Tenant) -> Any:
    """Return a good body or form of an operation, in this tenant's names."""
    soon = (clock.now() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    if operation.body:
        return operation.good_body(app=tenant.app.slug, scheme=tenant.scheme.slug, soon=soon)
    return operation.good_form(soon=soon) if operation.takes_form else None


def make_ready(operation: Operation, tenant: Tenant) -> None:
    """Bring the tenant's key into the state in which an operation does what it should."""
    make_key_ready(operation, tenant.key, tenant.subject)


def make_key_ready(operation: Operation, key: Key, subject: Actor) -> None:
    """Bring a key into the state in which an operation on it does what it should."""
    where = {"app_id": key.app_id, "key_id": key.pk, "actor": subject, "now": clock.now()}
    if Key.objects.get(pk=key.pk).status(where["now"]) is not KeyStatus.ACTIVE:
        return  # it was brought there before
    if operation.key_state == "disabled":
        keys.disable_key(**where)
    elif operation.key_state == "revoked":
        keys.revoke_key(**where)
    elif operation.key_state == "rotated":
        keys.rotate_key(overlap=timedelta(days=1), **where)
