"""Activity leaves as a file: all that the session sees of it, and on record."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apiauth.core.events import Event
from apiauth.core.policy import read_policy
from apiauth.core.scope import Owner
from apiauth.models import App
from apiauth.models.activity import ActivityEntry, app_chain
from apiauth.services import activity_exports
from tests.portal.conftest import hidden_fields

pytestmark = pytest.mark.django_db
Make = Callable[..., Any]


def lock(app: App, **policy: Any) -> None:
    App.objects.filter(pk=app.pk).update(policy=read_policy(policy))


def export(client: Client, **fields: str) -> Any:
    """Post the form with the session's own mark, which every page's way out holds."""
    return client.post("/portal/activity/export", hidden_fields(client.get("/portal/").content.decode()) | fields)


def csv_of(answer: Any) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.content
    return list(csv.DictReader(io.StringIO(answer.getvalue().decode())))


def test_every_entry_leaves_however_many_there_are(
    app: App, portal_client: Make, make_key: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity_exports, "_PAGE", 2)
    client = portal_client()
    for number in range(5):
        make_key(name=f"key {number}")
    entries = list(ActivityEntry.objects.in_chain(app_chain(app.pk)).newest_first())

    answer = export(client)

    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="activity-aa_1-')
    rows = csv_of(answer)
    assert [int(row["sequence"]) for row in rows] == [entry.sequence for entry in entries]
    assert [row["hash"] for row in rows] == [bytes(entry.hash).hex() for entry in entries]
    assert {row["key_name"] for row in rows if row["event"] == "key.created"} == {f"key {n}" for n in range(5)}


def test_the_export_itself_is_on_record_and_in_the_next_one(portal_client: Make, make_key: Make) -> None:
    make_key()
    client = portal_client()
    first = [json.loads(line) for line in export(client, form="jsonl").getvalue().decode().splitlines()]
    entry = ActivityEntry.objects.get(event=Event.ACTIVITY_EXPORTED)
    assert entry.details == {"filters": {}, "form": "jsonl"}
    assert "activity.exported" not in [row["event"] for row in first]
    assert next(row["event"] for row in csv_of(export(client))) == "activity.exported"


def test_a_session_takes_what_it_sees_alone(app: App, portal_client: Make, make_key: Make) -> None:
    for user in ("u_1", "u_2"):
        make_key(name=f"of {user}", owner=Owner(user))
    lock(app, scope={"model": "user"})
    names = {row["key_name"] for row in csv_of(export(portal_client(subject_id="u_1"))) if row["key_name"]}
    assert names == {"of u_1"}


def test_an_address_leaves_where_the_role_sees_it(app: App, portal_client: Make) -> None:
    client = portal_client(role="member")
    assert "127.0.0.1" in [row["client_ip"] for row in csv_of(export(client))]
    lock(app, authority={"see_addresses": "admin"})
    assert {row["client_ip"] for row in csv_of(export(client))} == {""}


def test_no_cell_is_a_formula(portal_client: Make, make_key: Make) -> None:
    make_key(name="=HYPERLINK(1)")
    assert "'=HYPERLINK(1)" in [row["key_name"] for row in csv_of(export(portal_client()))]


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("member", 200), ("admin", 200), ("owner", 200)])
def test_who_exports_is_what_the_policy_says(
    app: App, portal_client: Make, make_key: Make, role: str, status: int
) -> None:
    make_key()
    client = portal_client(role=role)
    offered = "/portal/activity/export" in client.get("/portal/activity").content.decode()
    assert (offered, export(client).status_code) == (status == 200, status)
    lock(app, authority={"export": "viewer"})
    assert export(client).status_code == 200


def test_who_does_not_see_the_activity_does_not_take_it(app: App, portal_client: Make, make_key: Make) -> None:
    make_key()
    lock(app, authority={"see_activity": "owner"})
    assert export(portal_client(role="admin")).status_code == 403
    assert not ActivityEntry.objects.filter(event=Event.ACTIVITY_EXPORTED).exists()
