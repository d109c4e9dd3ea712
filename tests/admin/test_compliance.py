"""Staff review the keys of all apps, narrow that down, and export it on record."""

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.admin.remedies import ONLY_LOOKS
from apiauth.core.events import Event
from apiauth.core.policy import read_policy
from apiauth.core.scope import Owner
from apiauth.models import App, Key, KeyUsage
from apiauth.models.activity import ActivityEntry
from apiauth.services import subjects
from apiauth.services.compliance import Finding
from apiauth.services.keys import IssuedKey
from tests.conftest import ACTOR

pytestmark = pytest.mark.django_db
PAGE, EXPORT = "/admin/compliance/", "/admin/compliance/export/"
Make = Callable[..., Any]


@pytest.fixture
def other(make_app: Make, make_deployment: Make) -> App:
    made: App = make_app("aa_2", in_deployment=make_deployment("Orbit"), name="Orbit")
    return made


def page_of(client: Client, **query: object) -> str:
    return str(client.get(PAGE, query).content.decode())


def actions_in(html: str) -> set[str]:
    return set(re.findall('name="action" value="([a-z]+)"', html))


def test_the_keys_of_all_apps_are_counted_and_those_of_a_finding_listed(
    administrator: Client, other: App, make_key: Callable[..., IssuedKey]
) -> None:
    make_key("Ours", allowed_cidrs=["192.0.2.0/24"])
    make_key("Theirs", in_app=other)
    html = page_of(administrator, finding="no_expiry")
    assert "2 live keys." in html
    assert ("Ours" in html, "Theirs" in html) == (True, True)
    only_theirs = page_of(administrator, finding="any_address")
    assert ("Ours" in only_theirs, "Theirs" in only_theirs) == (False, True)
    assert "Nothing to do" in page_of(administrator, finding="owner_gone")


def test_deployment_and_app_narrow_it_down(
    administrator: Client, app: App, other: App, make_key: Callable[..., IssuedKey]
) -> None:
    make_key("Ours")
    make_key("Theirs", in_app=other)
    for query in ({"app": "aa_2"}, {"app": other.pk}, {"deployment": other.deployment_id}):
        html = page_of(administrator, finding="no_expiry", **query)
        assert ("Ours" in html, "Theirs" in html) == (False, True), query
    assert "0 live keys." in page_of(administrator, app="aa_2", deployment=app.deployment_id)


def test_keys_of_a_deleted_app_let_nobody_in_and_are_left_out(
    administrator: Client, app: App, now: Any, make_key: Callable[..., IssuedKey]
) -> None:
    make_key()
    App.objects.filter(pk=app.pk).update(deleted_at=now)
    assert "0 live keys." in page_of(administrator)


@pytest.mark.parametrize("query", [{"deployment": "x"}, {"after": "-1"}, {"finding": "nonsense"}])
def test_what_is_no_filter_is_a_400_that_names_the_field(administrator: Client, query: dict[str, str]) -> None:
    assert administrator.get(PAGE, query).status_code == 400
    assert administrator.post(EXPORT, query).status_code == 400


@pytest.mark.parametrize(
    ("group", "sees", "exports"),
    [("Support viewer", 200, 403), ("Support agent", 200, 403), ("Security", 200, 200), (None, 200, 200)],
)
def test_support_looks_and_security_exports(
    enter: Callable[..., Client], make_key: Callable[..., IssuedKey], group: str | None, sees: int, exports: int
) -> None:
    make_key()
    client = enter(group)
    answer = client.get(PAGE)
    assert (answer.status_code, client.post(EXPORT).status_code) == (sees, exports)
    assert (b"Export as CSV" in answer.content) == (exports == 200)


def test_an_export_is_on_record_where_its_keys_belong(
    administrator: Client, app: App, make_key: Callable[..., IssuedKey]
) -> None:
    key = make_key("+1").key
    for fields in ({}, {"deployment": app.deployment_id}, {"app": "aa_1", "finding": "no_expiry"}):
        [row] = csv.DictReader(io.StringIO(administrator.post(EXPORT, fields).getvalue().decode()))
        assert (row["key_id"], row["name"]) == (str(key.pk), "'+1")
    entries = ActivityEntry.objects.filter(event=Event.COMPLIANCE_EXPORTED).order_by("id")
    assert [(entry.deployment_id, entry.app_id, entry.details["finding"]) for entry in entries] == [
        (None, None, "any"),
        (app.deployment_id, None, "any"),
        (app.deployment_id, app.pk, "no_expiry"),
    ]
    assert administrator.get(EXPORT).status_code == 405


def test_what_a_page_narrowed_down_is_what_its_button_exports(
    administrator: Client, app: App, other: App, make_key: Callable[..., IssuedKey]
) -> None:
    make_key("Ours")
    make_key("Theirs", in_app=other)
    html = page_of(administrator, deployment=other.deployment_id)
    sent = dict(re.findall('<input type="hidden" name="(deployment|app|finding)" value="([^"]*)"', html))
    assert sent["deployment"]
    [row] = csv.DictReader(io.StringIO(administrator.post(EXPORT, sent).getvalue().decode()))
    assert row["name"] == "Theirs"


def test_an_export_says_what_each_key_is_bound_to(
    administrator: Client, app: App, make_key: Callable[..., IssuedKey]
) -> None:
    App.objects.filter(pk=app.pk).update(resources=["/v2/routes", "/v2/reports"])
    make_key("Bound", resources=["/v2/reports"])
    make_key("Free")
    rows = csv.DictReader(io.StringIO(administrator.post(EXPORT).getvalue().decode()))
    assert {row["name"]: row["resources"] for row in rows} == {"Bound": "/v2/reports", "Free": ""}


def test_the_page_takes_few_queries_and_goes_on_after_fifty(
    administrator: Client, make_key: Callable[..., IssuedKey], django_assert_max_num_queries: Make
) -> None:
    made = [make_key(f"Number {number}").key for number in range(51)]
    with django_assert_max_num_queries(6):
        html = page_of(administrator, finding="no_expiry")
    assert f"after={made[49].pk}" in html
    assert "Number 50" not in html
    assert "Number 50" in page_of(administrator, finding="no_expiry", after=made[49].pk)


def test_a_finding_leads_to_what_staff_can_do_about_it(
    administrator: Client, make_key: Callable[..., IssuedKey], now: Any
) -> None:
    key = make_key(now=now - timedelta(days=30)).key
    unused = page_of(administrator, finding="never_used")
    assert actions_in(unused) == {"disable", "revoke"}
    assert unused.count(f'name="_selected_action" value="{key.pk}"') == 2
    assert "that can be taken back" in unused
    asked = administrator.post("/admin/apiauth/key/", {"action": "revoke", "_selected_action": key.pk})
    assert "Revoke keys?" in asked.content.decode()


@pytest.mark.parametrize(
    ("finding", "place"), [("no_expiry", "expiry.mode"), ("rotation_overdue", "rotation.when_overdue")]
)
def test_what_a_policy_mends_leads_to_its_place_in_the_policy_of_the_key_s_app(
    administrator: Client, app: App, make_key: Callable[..., IssuedKey], now: Any, finding: str, place: str
) -> None:
    make_key(now=now - timedelta(days=30))
    App.objects.filter(pk=app.pk).update(policy=read_policy({"rotation": {"mode": "required", "every_days": 7}}))
    policy_page = f"/admin/apiauth/app/{app.pk}/policy/"
    assert f'href="{policy_page}#id_{place}"' in page_of(administrator, finding=finding)
    assert f'id="id_{place}"' in administrator.get(policy_page).content.decode()


@pytest.fixture
def found(app: App, make_key: Callable[..., IssuedKey], now: Any) -> Callable[..., Key]:
    """Make a key that every finding is about; one that is unused was used, long ago."""

    def make(finding: Finding) -> Key:
        key: Key = make_key(now=now - timedelta(days=300), permissions=app.permissions, owner=Owner("u_1")).key
        App.objects.filter(pk=app.pk).update(policy=read_policy({"rotation": {"mode": "required", "every_days": 7}}))
        where = {"deployment_id": app.deployment_id, "slug": app.slug}
        subjects.remove_subject(**where, subject_id="u_1", actor=ACTOR, now=now)
        if finding is Finding.UNUSED:
            used = {"last_used_at": now - timedelta(days=200), "method": "GET", "path": "/", "allowed": True}
            KeyUsage.objects.create(key_id=key.pk, app_id=app.pk, **used)
        return key

    return make


@pytest.mark.parametrize("finding", Finding)
@pytest.mark.parametrize(
    ("group", "offered"),
    [("Support viewer", set()), ("Support agent", {"disable"}), ("Security", {"disable", "revoke"})],
)
def test_staff_are_offered_what_they_may_do_alone_and_told_what_the_customer_does(
    enter: Callable[..., Client], found: Callable[..., Key], group: str, offered: set[str], finding: Finding
) -> None:
    key = found(finding)
    html = page_of(enter(group), finding=finding)
    ends = finding in {Finding.UNUSED, Finding.NEVER_USED, Finding.OWNER_GONE}
    by_policy = finding in {Finding.NO_EXPIRY, Finding.ROTATION_OVERDUE}
    assert f"/admin/apiauth/key/{key.pk}/change/" in html
    assert "The customer " in html
    assert actions_in(html) == (offered if ends else set())
    assert "/policy/" not in html
    assert (ONLY_LOOKS in html) == (by_policy or (ends and not offered))
