"""Calls leave as a file: all that the filters find, as the role may see it, and on record."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apiauth.audit import search
from apiauth.core.events import Event
from apiauth.core.policy import read_policy
from apiauth.core.scope import Owner
from apiauth.models import App, Decision
from apiauth.models.activity import ActivityEntry
from apiauth.services import keys
from tests.portal.conftest import hidden_fields

pytestmark = pytest.mark.django_db
EXPORT = "/portal/logs/export"
Make = Callable[..., Any]


def lock(app: App, **policy: Any) -> None:
    App.objects.filter(pk=app.pk).update(policy=read_policy(policy))


def export(client: Client, **fields: str) -> Any:
    """Post the form with the session's own mark, which every page's way out holds."""
    return client.post(EXPORT, hidden_fields(client.get("/portal/").content.decode()) | fields)


def csv_of(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.content
    return list(csv.DictReader(io.StringIO(answer.getvalue().decode())))


def test_every_call_leaves_however_many_there_are(
    portal_client: Callable[..., Client],
    make_decision: Callable[..., Decision],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "MOST_ROWS", 2)
    made = [make_decision(path=f"/v2/{number}") for number in range(5)]
    answer = export(portal_client())
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="calls-aa_1-')
    assert {row["request_id"] for row in csv_of(answer)} == {str(each) for each in made}


def test_json_lines_hold_how_the_limits_stood_too(
    portal_client: Callable[..., Client], make_decision: Callable[..., Decision]
) -> None:
    state = {"rule": "60/60s", "remaining": 0, "limit": 60}
    row = make_decision(rule="rate_limited", rate_limits=[state])
    make_decision()
    answer = export(portal_client(), form="jsonl", outcome="blocked")
    [line] = [json.loads(text) for text in answer.getvalue().decode().splitlines()]
    assert (line["request_id"], line["rule"], line["client_ip"]) == (str(row), "rate_limited", "203.0.113.24")
    assert line["rate_limits"] == [state]


def test_no_cell_is_a_formula(portal_client: Callable[..., Client], make_decision: Callable[..., Decision]) -> None:
    make_decision(user_agent="=HYPERLINK(1)", path="/x,y")
    [row] = csv_of(export(portal_client()))
    assert (row["user_agent"], row["path"]) == ("'=HYPERLINK(1)", "/x,y")


def test_a_session_takes_the_calls_of_its_scope_alone(
    app: App, portal_client: Callable[..., Client], make_decision: Callable[..., Decision], make_key: Make
) -> None:
    mine, theirs = (make_key(owner=Owner(user)).key for user in ("u_1", "u_2"))
    row = make_decision(key_id=mine.pk)
    make_decision(key_id=theirs.pk)
    lock(app, scope={"model": "user"})
    assert [each["request_id"] for each in csv_of(export(portal_client(subject_id="u_1")))] == [str(row)]


def test_an_export_is_on_record_with_its_filters_but_no_address_and_no_secret(
    portal_client: Callable[..., Client],
    make_decision: Callable[..., Decision],
    make_key: Callable[..., keys.IssuedKey],
) -> None:
    make_decision()
    secret = make_key().secret.text
    csv_of(export(portal_client(), path=f"/{secret}", address="203.0.113.24", range="7d"))
    entry = ActivityEntry.objects.get(event=Event.DECISIONS_EXPORTED)
    assert entry.details["form"] == "csv"
    assert entry.details["filters"].keys() == {"path", "address", "range"}
    assert secret not in str(entry.details)
    assert "203.0.113.24" not in str(entry.details)


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("member", 200), ("admin", 200), ("owner", 200)])
def test_who_exports_is_what_the_policy_says(
    app: App,
    portal_client: Callable[..., Client],
    make_decision: Callable[..., Decision],
    role: str,
    status: int,
) -> None:
    make_decision()
    client = portal_client(role=role)
    offered = "/portal/logs/export" in client.get("/portal/logs").content.decode()
    assert (offered, export(client).status_code) == (status == 200, status)
    lock(app, authority={"export": "viewer"})
    assert export(client).status_code == 200


def test_an_unusable_filter_is_named_and_nothing_leaves(
    portal_client: Callable[..., Client], make_decision: Make
) -> None:
    make_decision()
    assert export(portal_client(), address="nonsense").status_code == 400
    assert not ActivityEntry.objects.filter(event=Event.DECISIONS_EXPORTED).exists()
