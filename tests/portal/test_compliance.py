"""The compliance page: what it finds within a session's scope, who sees it, and what leaves as a file."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apiauth.core.events import Event
from apiauth.core.policy import read_policy
from apiauth.core.scope import Owner
from apiauth.models import App, Key
from apiauth.models.activity import ActivityEntry
from apiauth.services import keys
from apiauth.services.compliance import Finding
from apiauth.services.finding_words import WORDS
from tests.portal.conftest import hidden_fields

pytestmark = pytest.mark.django_db
PAGE, EXPORT = "/portal/compliance", "/portal/compliance/export"


def lock(app: App, **policy: Any) -> None:
    App.objects.filter(pk=app.pk).update(policy=read_policy(policy))


def page_of(client: Client, query: str = "") -> str:
    return str(client.get(PAGE + query).content.decode())


def rows_of(client: Client, **fields: str) -> list[dict[str, str]]:
    response = client.post(EXPORT, hidden_fields(page_of(client)) | fields)
    assert response.status_code == 200
    assert response["Content-Disposition"].startswith('attachment; filename="compliance-aa_1-')
    assert response["Cache-Control"] == "no-store, private"
    return list(csv.DictReader(io.StringIO(response.getvalue().decode())))


def test_every_finding_has_its_words() -> None:
    assert list(WORDS) == list(Finding)


def test_the_page_counts_each_finding_and_lists_the_keys_of_one_with_what_to_do(
    portal_client: Callable[..., Client], make_key: Callable[..., keys.IssuedKey]
) -> None:
    key = make_key("Left open", allowed_cidrs=["192.0.2.0/24"], permissions=["routes:read"]).key
    client = portal_client()
    html = page_of(client)
    assert "1 live key<" in html
    assert WORDS[Finding.NO_EXPIRY].remedy in html
    assert f'href="/portal/keys/{key.pk}"' in html
    assert "No live key fits this finding." in page_of(client, "?finding=owner_gone")
    assert page_of(client, "?finding=nonsense&after=x").count("Left open") == html.count("Left open")


def test_what_a_role_may_not_do_is_not_offered(
    app: App, portal_client: Callable[..., Client], make_key: Callable[..., keys.IssuedKey]
) -> None:
    key = make_key().key
    lock(app, rotation={"mode": "required", "every_days": 1}, authority={"rotate_own": "owner", "rotate_any": "owner"})
    Key.objects.filter(pk=key.pk).update(created_at="2026-01-01T00:00Z")
    address = f'href="/portal/keys/{key.pk}/rotate"'
    assert address in page_of(portal_client(role="owner"), "?finding=rotation_overdue")
    assert address not in page_of(portal_client(role="admin"), "?finding=rotation_overdue")


def test_nothing_to_do_is_said(portal_client: Callable[..., Client]) -> None:
    html = page_of(portal_client())
    assert "Nothing to do" in html
    assert "Export" not in html


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("member", 403), ("admin", 200), ("owner", 200)])
def test_admins_see_it_and_the_policy_can_say_otherwise(
    app: App, portal_client: Callable[..., Client], role: str, status: int
) -> None:
    client = portal_client(role=role)
    assert client.get(PAGE).status_code == status
    assert ("/portal/compliance" in client.get("/portal/keys").content.decode()) == (status == 200)
    lock(app, authority={"see_compliance": "viewer"})
    assert client.get(PAGE).status_code == 200


def test_a_session_counts_and_exports_the_keys_of_its_scope_alone(
    app: App, portal_client: Callable[..., Client], make_key: Callable[..., keys.IssuedKey]
) -> None:
    mine = make_key("Mine", owner=Owner("u_1")).key
    make_key("Theirs", owner=Owner("u_2"))
    lock(app, scope={"model": "user"})
    client = portal_client(subject_id="u_1")
    assert "1 live key<" in page_of(client)
    assert "Theirs" not in page_of(client, "?finding=any_address")
    assert [row["key_id"] for row in rows_of(client)] == [str(mine.pk)]


def test_an_export_is_in_the_activity_log_as_who_took_what(
    portal_client: Callable[..., Client], make_key: Callable[..., keys.IssuedKey]
) -> None:
    make_key("@evil")
    client = portal_client(subject_name="Dana Okafor")
    assert [row["name"] for row in rows_of(client, finding="no_expiry")] == ["'@evil"]
    entry = ActivityEntry.objects.get(event=Event.COMPLIANCE_EXPORTED)
    assert (entry.details, entry.via, entry.personal["name"]) == ({"finding": "no_expiry"}, "portal", "Dana Okafor")
    assert "exported the keys that deserve a look" in client.get("/portal/activity").content.decode()


def test_an_export_says_what_each_key_is_bound_to(
    app: App, portal_client: Callable[..., Client], make_key: Callable[..., keys.IssuedKey]
) -> None:
    App.objects.filter(pk=app.pk).update(resources=["/v2/routes", "/v2/reports"])
    make_key("Bound", resources=["/v2/routes", "/v2/reports"])
    make_key("Free")
    found = {row["name"]: row["resources"] for row in rows_of(portal_client())}
    assert found == {"Bound": "/v2/routes /v2/reports", "Free": ""}


@pytest.mark.parametrize("missing", ["export", "see_compliance"])
def test_an_export_takes_both_to_see_and_to_export(
    app: App, portal_client: Callable[..., Client], make_key: Callable[..., keys.IssuedKey], missing: str
) -> None:
    make_key()
    client = portal_client()
    fields = hidden_fields(page_of(client))
    lock(app, authority={missing: "owner"})
    assert client.post(EXPORT, fields).status_code == 403
    assert not ActivityEntry.objects.filter(event=Event.COMPLIANCE_EXPORTED).exists()


def test_an_export_is_never_made_by_following_a_link(portal_client: Callable[..., Client]) -> None:
    assert portal_client().get(EXPORT).status_code == 405


def test_a_paused_app_can_still_be_reviewed(
    app: App, portal_client: Callable[..., Client], make_key: Callable[..., keys.IssuedKey]
) -> None:
    make_key()
    App.objects.filter(pk=app.pk).update(is_active=False)
    assert len(rows_of(portal_client())) == 1


def test_a_page_goes_on_after_fifty_keys_and_takes_at_most_five_queries(
    portal_client: Callable[..., Client],
    make_key: Callable[..., keys.IssuedKey],
    django_assert_max_num_queries: Callable[..., Any],
) -> None:
    made = [make_key(f"Number {number}").key for number in range(52)]
    client = portal_client()
    with django_assert_max_num_queries(5):
        html = page_of(client)
    assert "Number 49" in html
    assert "Number 50" not in html
    assert f"?finding=no_expiry&amp;after={made[49].pk}" in html
    assert "Number 51" in page_of(client, f"?finding=no_expiry&after={made[49].pk}")
