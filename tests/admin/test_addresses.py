"""Where an app's policy keeps addresses from staff, no page of the admin shows one: not even the administrator's."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from apiauth.core import clock, ids
from apiauth.core.policy import read_policy
from apiauth.models import ActivityEntry, App, Decision
from apiauth.services import sessions
from apiauth.services.tickets import IssuedTicket
from tests.support.decisions import name_of

pytestmark = pytest.mark.django_db
CALLER, PEER, PERSON = "203.0.113.77", "198.51.100.77", "192.0.2.77"


@pytest.fixture
def pages(app: App, now: datetime, make_ticket: Callable[..., IssuedTicket]) -> list[str]:
    """Every page of the admin that is about a call or a person with an address."""
    moment = clock.from_ms(clock.to_ms(now))
    decision = Decision.objects.create(
        id=ids.new_decision_id(clock.to_ms(now)),
        decided_at=moment,
        app_id=app.pk,
        allowed=True,
        method="GET",
        path="/",
        client_ip=CALLER,
        peer_ip=PEER,
        user_agent="tests",
        required_permissions=[],
        rate_limits=[],
        snapshot_age_ms=1,
        duration_us=9,
        node=name_of("n"),
    )
    opened = sessions.exchange_ticket(make_ticket().text, client_ip=PERSON, user_agent="tests", now=now, via="portal")
    entry = ActivityEntry.objects.get(event="session.opened")
    return [
        "/admin/decisions/",
        f"/admin/decisions/{decision}/",
        "/admin/apiauth/session/",
        f"/admin/apiauth/session/{opened.session.pk}/change/",
        "/admin/apiauth/activityentry/",
        f"/admin/apiauth/activityentry/{entry.pk}/change/",
    ]


def everything(client: Client, pages: list[str]) -> str:
    answers = [client.get(page) for page in pages]
    assert {answer.status_code for answer in answers} == {200}
    return "".join(answer.content.decode() for answer in answers)


@pytest.mark.parametrize("group", ["Support viewer", "Support agent", "Security", None])
def test_staff_see_addresses_unless_the_policy_says_otherwise(
    enter: Callable[..., Client], app: App, pages: list[str], group: str | None
) -> None:
    client: Any = enter(group)
    shown = everything(client, pages)
    assert all(address in shown for address in (CALLER, PEER, PERSON))

    App.objects.filter(pk=app.pk).update(policy=read_policy({"audit": {"staff_see_addresses": False}}))
    shown = everything(client, pages)
    assert not [address for address in (CALLER, PEER, PERSON) if address in shown]
    assert all(network in shown for network in ("203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24"))
