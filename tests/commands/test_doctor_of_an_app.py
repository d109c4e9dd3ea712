"""Doctor walks an app's go-live list by what the logs prove, and says what is missing."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import Group, User
from django.core.management import CommandError
from django.test import Client

from apiauth.core import clock
from apiauth.core.events import Event
from apiauth.models import ActivityEntry, App
from apiauth.services import deployments, go_live, installation, keys, sessions
from apiauth.services.tickets import IssuedTicket
from tests.commands.conftest import Ran
from tests.conftest import ACTOR

pytestmark = pytest.mark.django_db
Run = Callable[..., Ran]
DOCS = "https://docs.example.com/keys"


def states(ran: Ran) -> dict[str, str]:
    return {item["name"]: item["state"] for item in ran.json["items"]}


@pytest.fixture
def live(
    app: App,
    make_ticket: Callable[..., IssuedTicket],
    session_for: Callable[..., sessions.OpenedSession],
) -> None:
    """Everything that the list asks for, done as a product's people would."""
    ticket = make_ticket()
    open_with(ticket)
    with pytest.raises(sessions.TicketRefused):
        open_with(ticket)
    opened = session_for(app).session
    actor = sessions.actor_of(opened, via="portal", client_ip=None, user_agent="")
    act = {"app_id": app.pk, "actor": actor, "now": clock.now()}
    made = keys.create_key(name="first", **act).key
    successor = keys.rotate_key(key_id=made.pk, overlap=timedelta(0), **act).key
    keys.revoke_key(key_id=successor.pk, reason="", **act)
    installation.make_groups()
    support = User.objects.create(username="support", is_staff=True, last_login=clock.now())
    support.groups.add(Group.objects.get(name="Support viewer"))
    App.objects.filter(pk=app.pk).update(docs_url=DOCS)


def open_with(ticket: IssuedTicket) -> None:
    sessions.exchange_ticket(ticket.text, client_ip=None, user_agent="", now=clock.now(), via="portal")


def test_of_an_app_that_is_ready_each_item_names_its_evidence(run: Run, app: App, live: None) -> None:
    ran = run("doctor", "--app", "aa_1", "--json")
    assert {name for name, state in states(ran).items() if state != "ok"} == {"customer_docs"}
    assert states(ran)["customer_docs"] == "unknown", "nobody has asked whether they are there"
    assert (ran.code, ran.json["ok"], ran.err) == (1, False, "Not ready to go live: customer_docs.\n")
    items = go_live.checklist(
        App.objects.select_related("deployment").get(pk=app.pk),
        now=clock.now(),
        ask=lambda url: go_live.Answer(True, "200"),
    )
    assert {item.state for item in items} == {go_live.State.OK}
    evidence = {item["name"]: item["evidence"] for item in ran.json["items"]}
    assert evidence["ticket_gate"].startswith("ticket.refused at ")
    assert evidence["ticket_expiry"].startswith("the longest of 2 lived for 60 s")
    assert f"of app:{app.pk}" in evidence["key_revoke"]
    assert evidence["customer_docs"].startswith(DOCS)


def test_an_app_that_is_new_ends_with_1_and_advice_for_each_item(run: Run, app: App) -> None:
    ran = run("doctor", "--app", "aa_1", "--json")
    assert states(ran) == {
        "ticket_gate": "missing",
        "ticket_expiry": "unknown",
        "environment": "ok",
        "key_create": "missing",
        "key_rotate": "missing",
        "key_revoke": "missing",
        "staff_logs": "missing",
        "customer_docs": "missing",
    }
    assert all(item["advice"] for item in ran.json["items"] if item["state"] != "ok")
    assert ran.code == 1
    assert "MISSING   customer_docs: no docs_url is set" in run("doctor", "--app", "aa_1").out


def test_what_was_seen_working_counts_for_a_day(run: Run, live: None) -> None:
    with time_machine.travel(clock.now() + timedelta(days=2)):
        found = run("doctor", "--app", "aa_1", "--json")
    assert [name for name, state in states(found).items() if state == "missing"] == [
        "key_create",
        "key_rotate",
        "key_revoke",
    ]
    assert "not in the last day; before that key.created at" in found.out
    assert states(found)["ticket_expiry"] == "unknown", "its tickets are of an earlier day"


def test_an_app_whose_keys_say_test_is_not_ready(run: Run, app: App, live: None) -> None:
    App.objects.filter(pk=app.pk).update(key_prefix="nw_test")
    ran = run("doctor", "--app", "aa_1", "--json")
    assert [name for name, state in states(ran).items() if state != "ok"] == ["environment", "customer_docs"]
    assert "_live" in next(item["advice"] for item in ran.json["items"] if item["name"] == "environment")


def test_a_key_that_a_command_made_proves_nothing(run: Run, make_key: Callable[..., Any]) -> None:
    make_key()
    assert states(run("doctor", "--app", "aa_1", "--json"))["key_create"] == "missing"


def test_a_session_that_was_refused_proves_the_gate_too(
    run: Run, client: Client, session_for: Callable[..., sessions.OpenedSession]
) -> None:
    client.cookies["ks_session"] = session_for(role="viewer").token
    assert client.post("/api-auth/keys", {"name": "x"}, headers={"Origin": "http://127.0.0.1:9000"}).status_code == 403
    assert states(run("doctor", "--app", "aa_1", "--json"))["ticket_gate"] == "ok"


def test_a_backend_key_that_may_not_issue_tickets_proves_it_for_its_deployment(
    run: Run, app: App, client: Client
) -> None:
    narrow = deployments.issue_backend_key(
        deployment_id=app.deployment_id, name="reader", scopes=["apps:read"], actor=ACTOR, now=clock.now()
    )
    body = {"ticket_type": "api_auth_access", "api_auth_app_slug": "aa_1"}
    sender = {"Authorization": f"Bearer {narrow.secret.text}"}
    for _ in range(3):
        assert client.post("/session/tickets", body, "application/json", headers=sender).status_code == 403
    [entry] = ActivityEntry.objects.filter(event=Event.TICKET_REFUSED)
    assert (entry.actor_id, entry.details["missing"]) == (str(narrow.row.pk), "tickets:issue")
    assert states(run("doctor", "--app", "aa_1", "--json"))["ticket_gate"] == "ok"


def test_staff_who_never_logged_in_leave_it_unknown_and_those_who_may_not_read_do_not_count(run: Run, app: App) -> None:
    User.objects.create(username="clerk", is_staff=True)
    assert states(run("doctor", "--app", "aa_1", "--json"))["staff_logs"] == "missing"
    User.objects.create(username="root", is_staff=True, is_superuser=True)
    assert states(run("doctor", "--app", "aa_1", "--json"))["staff_logs"] == "unknown"


def test_a_refused_ticket_is_noted_once_an_hour_however_often_it_is_tried(make_ticket: Callable[..., Any]) -> None:
    ticket = make_ticket()
    open_with(ticket)
    for _ in range(5):
        with pytest.raises(sessions.TicketRefused):
            open_with(ticket)
    [entry] = ActivityEntry.objects.filter(event=Event.TICKET_REFUSED)
    assert (entry.details, entry.actor_id) == ({"at": "exchange", "ticket": str(ticket.row.pk)}, "")
    with time_machine.travel(clock.now() + timedelta(minutes=61)), pytest.raises(sessions.TicketRefused):
        open_with(ticket)
    assert ActivityEntry.objects.filter(event=Event.TICKET_REFUSED).count() == 2


def test_a_ticket_that_nobody_made_leaves_no_entry(app: App) -> None:
    with pytest.raises(sessions.TicketRefused):
        sessions.exchange_ticket("kst_nonsense", client_ip=None, user_agent="", now=clock.now(), via="portal")
    assert not ActivityEntry.objects.filter(event=Event.TICKET_REFUSED).exists()


def test_an_unknown_app_is_refused_and_an_ambiguous_one_is_wrong_usage(
    run: Run, app: App, make_app: Callable[..., App], make_deployment: Callable[..., Any]
) -> None:
    assert (run("doctor", "--app", "nobody").code, run("doctor", "--app", "nobody").out) == (1, "")
    other = make_app("aa_1", in_deployment=make_deployment("Orbit"))
    with pytest.raises(CommandError) as ambiguous:
        run("doctor", "--app", "aa_1")
    assert ambiguous.value.returncode == 2
    chosen = run("doctor", "--app", "aa_1", "--deployment", str(other.deployment_id), "--json")
    assert chosen.json["deployment_id"] == str(other.deployment_id)
    with pytest.raises(CommandError) as without_app:
        run("doctor", "--fetch")
    assert without_app.value.returncode == 2
