"""A stranger's user agent and path cannot disturb who reads the logs: they are recorded as they can be shown."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.test import Client

from apiauth.audit.drain import Drain
from apiauth.models import ActivityEntry, App
from apiauth.services.tickets import IssuedTicket
from tests.support.gateways import GatewayInProcess

pytestmark = pytest.mark.django_db(transaction=True)

TURNED, CLEARED = "gpj.\u202eexe", "curl\x1b[2K\x85"


def test_a_check_is_recorded_and_shown_without_what_cannot_be_shown(
    gateway: GatewayInProcess, connection: psycopg.Connection[Any], app: App, secret: str, backend: Client
) -> None:
    gateway.check(secret, user_agent=CLEARED, resource=f"/v1/{TURNED}", required_permissions=["routes:read"])
    (recorded,) = gateway.records()
    assert (recorded.user_agent, recorded.path) == ("curl\ufffd[2K\ufffd", "/v1/gpj.\ufffdexe")
    Drain(connection, gateway.folder / "spool").drain_all()
    (line,) = backend.get(f"/api-auth/apps/{app.slug}/audit/logs").json()["data"]
    assert (line["user_agent"], line["path"]) == ("curl\ufffd[2K\ufffd", "GET /v1/gpj.\ufffdexe")


def test_a_browsers_user_agent_stands_in_the_activity_log_without_what_cannot_be_shown(
    make_ticket: Callable[..., IssuedTicket],
) -> None:
    browser = Client(headers={"User-Agent": CLEARED + TURNED, "Accept": "application/json"})
    assert browser.post("/session/ticket/exchange", {"ticket": make_ticket().text}).status_code == 200
    entry = ActivityEntry.objects.get(event="session.opened")
    assert entry.personal["user_agent"] == "curl\ufffd[2K\ufffdgpj.\ufffdexe"
