"""Fixtures that state only what differs: a deployment, an app, keys, sessions, clients."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.test import Client

from apiauth.audit.partitions import ensure_partitions
from apiauth.core import clock
from apiauth.core.actor import Actor
from apiauth.models import App, Deployment, Session
from apiauth.services import apps, deployments, keys, sessions, tickets
from tests.support import stage as stages
from tests.support.browsers import browser, open_context
from tests.support.database import dsn, empty_what_was_recorded

__all__ = ["browser", "open_context"]  # one Chromium for the whole run, wherever a test asks for it

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
ACTOR = Actor(kind="command", id="test", name="Test", via="command")


@pytest.fixture(autouse=True)
def leave_nothing_recorded(request: pytest.FixtureRequest) -> Iterator[None]:
    """Take away what a test that commits recorded, and the gateways it killed: another one counts all that there is."""
    yield
    marker = request.node.get_closest_marker("django_db")
    if "transactional_db" in request.fixturenames or (marker and marker.kwargs.get("transaction")):
        empty_what_was_recorded()


@pytest.fixture
def connection(transactional_db: None) -> Iterator[psycopg.Connection[Any]]:
    """A session of its own, with today's partitions, in which each statement is committed."""
    with psycopg.connect(dsn(), autocommit=True) as connection:
        ensure_partitions(connection)
        yield connection


@pytest.fixture
def actor() -> Actor:
    return ACTOR


@pytest.fixture
def now() -> datetime:
    return clock.now()


@pytest.fixture
def stage(db: None) -> stages.Stage:
    """Three tenants with one of everything."""
    return stages.build()


@pytest.fixture
def make_deployment(db: None) -> Callable[..., Deployment]:
    def make(
        name: str = "Northwind", origins: tuple[str, ...] = ("http://127.0.0.1:9000",), **fields: Any
    ) -> Deployment:
        return deployments.create_deployment(name=name, allowed_origins=origins, actor=ACTOR, now=clock.now(), **fields)

    return make


@pytest.fixture
def deployment(make_deployment: Callable[..., Deployment]) -> Deployment:
    return make_deployment()


@pytest.fixture
def make_app(deployment: Deployment) -> Callable[..., App]:
    def make(slug: str = "aa_1", *, in_deployment: Deployment | None = None, **fields: Any) -> App:
        values = {"slug": slug, "name": "Northwind Maps", "key_prefix": "nw_live", **fields}
        owner = in_deployment or deployment
        return apps.create_app(deployment_id=owner.id, fields=values, actor=ACTOR, now=clock.now())

    return make


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    return make_app(permissions=["routes:read", "routes:write"], return_url="http://127.0.0.1:9000/settings")


@pytest.fixture
def make_key(app: App) -> Callable[..., keys.IssuedKey]:
    def make(name: str = "Billing worker", *, in_app: App | None = None, **fields: Any) -> keys.IssuedKey:
        given = {"actor": ACTOR, "now": clock.now(), **fields}
        return keys.create_key(app_id=(in_app or app).id, name=name, **given)

    return make


@pytest.fixture
def make_ticket(app: App) -> Callable[..., tickets.IssuedTicket]:
    def make(*, for_app: App | None = None, issued_at: datetime | None = None, **fields: Any) -> tickets.IssuedTicket:
        target = for_app or app
        request = tickets.TicketRequest(app_slug=target.slug, **{"subject_name": "Dana Okafor", **fields})
        return tickets.issue_ticket(
            deployment_id=target.deployment_id, request=request, actor=ACTOR, now=issued_at or clock.now()
        )

    return make


@pytest.fixture
def session_for(make_ticket: Callable[..., tickets.IssuedTicket]) -> Callable[..., sessions.OpenedSession]:
    def make(app: App | None = None, *, role: str = "admin", **fields: Any) -> sessions.OpenedSession:
        ticket = make_ticket(for_app=app, role=role, **fields)
        return sessions.exchange_ticket(
            ticket.text, client_ip="127.0.0.1", user_agent="tests", now=clock.now(), via="portal"
        )

    return make


@pytest.fixture
def session(session_for: Callable[..., sessions.OpenedSession]) -> Session:
    return session_for().session


@pytest.fixture
def portal_client(session_for: Callable[..., sessions.OpenedSession]) -> Callable[..., Client]:
    """A browser-like client that has entered the portal; `csrf=True` for the real token check."""

    def make(app: App | None = None, *, role: str = "admin", csrf: bool = False, **fields: Any) -> Client:
        client = Client(enforce_csrf_checks=csrf)
        client.cookies["ks_session"] = session_for(app, role=role, **fields).token
        return client

    return make


@pytest.fixture
def backend_key(deployment: Deployment) -> deployments.IssuedBackendKey:
    return deployments.issue_backend_key(deployment_id=deployment.id, name="backend", actor=ACTOR, now=clock.now())


@pytest.fixture
def backend(backend_key: deployments.IssuedBackendKey) -> Client:
    """A client that speaks for the deployment with its backend key."""
    return Client(headers={"Authorization": f"Bearer {backend_key.secret.text}"})
