"""What an app's policy keeps from staff, no page of the admin shows, not even to the administrator."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.test import Client

from apiauth.core import clock, ids
from apiauth.core.actor import Actor
from apiauth.core.events import Event
from apiauth.core.policy import read_policy
from apiauth.models import ActivityEntry, App, Decision, Deployment
from apiauth.services import activity, sessions
from apiauth.services.tickets import IssuedTicket
from tests.support.decisions import name_of

pytestmark = pytest.mark.django_db
CALLER, PEER, PERSON = "203.0.113.77", "198.51.100.77", "192.0.2.77"
CALLERS_AGENT, BROWSER = "acme-cron/7", "Firefox/999"


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
        user_agent=CALLERS_AGENT,
        required_permissions=[],
        rate_limits=[],
        snapshot_age_ms=1,
        duration_us=9,
        node=name_of("n"),
    )
    opened = sessions.exchange_ticket(make_ticket().text, client_ip=PERSON, user_agent=BROWSER, now=now, via="portal")
    entry = ActivityEntry.objects.get(event="session.opened")
    return [
        "/admin/decisions/",
        f"/admin/decisions/{decision}/",
        "/admin/apiauth/session/",
        f"/admin/apiauth/session/{opened.session.pk}/change/",
        "/admin/apiauth/activityentry/",
        f"/admin/apiauth/activityentry/{entry.pk}/change/",
    ]


@pytest.mark.parametrize(
    "tried",
    [
        "session/?client_ip__startswith=192.0.2.",
        "session/?user_agent__icontains=firefox",
        "session/?digest__gt=%00",
        "activityentry/?personal__client_ip=192.0.2.77",
        "activityentry/?app__policy__audit__keep_days=7",
        "key/?usage__client_ip__startswith=203.0.113.",
        "app/?deployment__name__startswith=N",
    ],
)
def test_nothing_is_found_by_trying_what_no_page_offers(
    enter: Callable[..., Client], pages: list[str], tried: str
) -> None:
    assert enter("Support viewer").get(f"/admin/apiauth/{tried}").status_code == 400


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


@pytest.mark.parametrize("group", ["Support viewer", "Security", None])
def test_staff_see_user_agents_unless_the_policy_says_otherwise(
    enter: Callable[..., Client], app: App, pages: list[str], group: str | None
) -> None:
    client: Any = enter(group)
    shown = everything(client, pages)
    assert CALLERS_AGENT in shown
    assert BROWSER in shown

    App.objects.filter(pk=app.pk).update(policy=read_policy({"audit": {"staff_see_user_agents": False}}))
    shown = everything(client, pages)
    assert CALLERS_AGENT not in shown
    assert BROWSER not in shown
    assert shown.count("kept from staff by the app&#x27;s policy") == 3
    assert PERSON in shown


def test_who_somebody_is_is_not_kept_from_staff(
    administrator: Client, make_app: Callable[..., App], now: datetime
) -> None:
    hiding = make_app("aa_2", policy={"audit": {"staff_see_addresses": False, "staff_see_user_agents": False}})
    dana = Actor(kind="subject", id="dana", name="Dana", email="dana@acme.example", via="portal", client_ip=PERSON)
    entry = activity.record(Event.APP_EDITED, actor=dana, now=now, deployment_id=hiding.deployment_id, app_id=hiding.pk)
    shown = administrator.get(f"/admin/apiauth/activityentry/{entry.pk}/change/").content.decode()
    assert "dana@acme.example" in shown
    assert PERSON not in shown


@pytest.mark.parametrize("hiding", [[], ["aa_2"], ["aa_2", "aa_3"]])
def test_an_entry_about_no_app_goes_by_every_app_of_its_deployment(
    administrator: Client, deployment: Deployment, make_app: Callable[..., App], now: datetime, hiding: list[str]
) -> None:
    keeps = {"audit": {"staff_see_addresses": False, "staff_see_user_agents": False}}
    make_app("aa_1")
    for slug in ("aa_2", "aa_3"):
        make_app(slug, policy=keeps if slug in hiding else {})
    backend = Actor(
        kind="backend_key", id="bk_1", name="Backend", via="api", client_ip=CALLER, user_agent=CALLERS_AGENT
    )
    entry = activity.record(Event.SCHEME_CREATED, actor=backend, now=now, deployment_id=deployment.pk)
    shown = administrator.get(f"/admin/apiauth/activityentry/{entry.pk}/change/").content.decode()
    assert (CALLER in shown, CALLERS_AGENT in shown) == ((False, False) if hiding else (True, True))
    assert ("203.0.113.0/24" in shown) is bool(hiding)


def test_an_entry_of_the_installation_is_shown_whole(
    administrator: Client, make_app: Callable[..., App], now: datetime
) -> None:
    make_app("aa_2", policy={"audit": {"staff_see_addresses": False}})
    colleague = Actor(kind="staff", id="staff:1", name="Kim", via="admin", client_ip=PERSON)
    entry = activity.record(Event.MASS_REVOKE_STARTED, actor=colleague, now=now)
    assert PERSON in administrator.get(f"/admin/apiauth/activityentry/{entry.pk}/change/").content.decode()
