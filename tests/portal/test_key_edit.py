"""A key is changed in two steps: what it comes to, and what that would have blocked, stands there before it is done."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.core import clock
from apiauth.core.policy import read_policy
from apiauth.models import ActivityEntry, App, Key
from apiauth.services import keys
from tests.conftest import ACTOR

pytestmark = pytest.mark.django_db
LISTS = ("permissions", "resources")
DROPPED = "no longer named by the app, opens nothing"
STILL_WORKS = "no longer named by the app, still lets calls through"
FIELD = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')


@pytest.fixture
def key(make_key: Callable[..., keys.IssuedKey]) -> Key:
    return make_key(permissions=["routes:read", "routes:write"], expires_at=clock.now() + timedelta(days=30)).key


@pytest.fixture
def address(key: Key) -> str:
    return f"/portal/keys/{key.pk}/edit"


def text_of(response: Any) -> str:
    return str(response.content.decode().replace("&#x27;", "'").replace("&quot;", '"'))


def form_of(html: str) -> dict[str, Any]:
    """Return what a page's last form sends as it stands: hidden fields, ticked boxes, and what is filled in."""
    fields: dict[str, Any] = {}
    for name, value in FIELD.findall(html[html.rindex("<form id=") :]):
        fields[name] = (
            [*fields[name], value] if name in LISTS and name in fields else ([value] if name in LISTS else value)
        )
    return fields


def opened(client: Client, address: str, **changes: Any) -> dict[str, Any]:
    key = Key.objects.get(pk=int(address.split("/")[3]))
    as_it_is = {
        "name": key.name,
        "note": key.note,
        "permissions": key.permissions,
        "resources": key.resources,
        "allowed_cidrs": "\n".join(key.allowed_cidrs),
        "ends": "keep",
    }
    return form_of(text_of(client.get(address))) | as_it_is | changes


def test_a_change_of_name_and_note_is_made_at_once(
    portal_client: Callable[..., Client], key: Key, address: str
) -> None:
    client = portal_client()
    done = client.post(address, opened(client, address, name="Invoices", note="in eu-west"))
    assert "Invoices is changed." in text_of(client.get(done.url))
    key.refresh_from_db()
    assert (key.name, key.note, key.permissions) == ("Invoices", "in eu-west", ["routes:read", "routes:write"])


def test_less_is_granted_only_after_the_page_has_said_what_that_breaks(
    portal_client: Callable[..., Client], key: Key, address: str, make_decision: Callable[..., Any]
) -> None:
    make_decision(key_id=key.pk, path="/v2/routes/7", method="PUT", required_permissions=["routes:write"])
    make_decision(key_id=key.pk, required_permissions=["routes:read"])
    client = portal_client()
    review = client.post(address, opened(client, address, permissions=["routes:read"]))
    html = text_of(review)
    assert review.status_code == 200
    assert '<span class="takes">Removes</span> <code>routes:write</code>' in html
    assert "This would have blocked 1 of 2 calls" in html
    assert "<code>PUT /v2/routes/7</code>" in html
    assert Key.objects.get().permissions == ["routes:read", "routes:write"]
    assert not ActivityEntry.objects.filter(event="key.edited").exists()
    assert client.post(address, form_of(html)).status_code == 303
    assert Key.objects.get().permissions == ["routes:read"]
    assert ActivityEntry.objects.filter(event="key.edited").count() == 1


def test_an_address_that_shuts_callers_out_is_shown_to_do_so(
    portal_client: Callable[..., Client], key: Key, address: str, make_decision: Callable[..., Any]
) -> None:
    make_decision(key_id=key.pk)
    client = portal_client()
    html = text_of(client.post(address, opened(client, address, allowed_cidrs="198.51.100.0/24")))
    assert "This would have blocked 1 call from 1 address" in html
    assert client.post(address, form_of(html)).status_code == 303
    assert Key.objects.get().allowed_cidrs == ["198.51.100.0/24"]


def test_more_is_granted_without_a_count_of_what_breaks(
    portal_client: Callable[..., Client], make_key: Callable[..., keys.IssuedKey]
) -> None:
    address = f"/portal/keys/{make_key(permissions=['routes:read']).key.pk}/edit"
    client = portal_client()
    html = text_of(client.post(address, opened(client, address, permissions=["routes:read", "routes:write"])))
    assert '<span class="adds">Adds</span> <code>routes:write</code>' in html
    assert "would have" not in html


def test_back_to_editing_keeps_what_was_typed(portal_client: Callable[..., Client], key: Key, address: str) -> None:
    client = portal_client()
    review = text_of(client.post(address, opened(client, address, name="Other", allowed_cidrs="10.0.0.0/8")))
    again = client.post(address, form_of(review) | {"again": "yes"})
    assert again.status_code == 200
    assert 'value="Other"' in text_of(again)
    assert "10.0.0.0/8</textarea>" in text_of(again)
    assert Key.objects.get().name == "Billing worker"


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(
    portal_client: Callable[..., Client], app: App, key: Key, address: str
) -> None:
    client = portal_client()
    form = opened(client, address, name="Mine")
    keys.disable_key(app_id=app.pk, key_id=key.pk, actor=ACTOR, now=clock.now())
    assert client.post(address, form).status_code in (409, 412)
    assert Key.objects.get().name == "Billing worker"


def limit(row: int, calls: str, duration: str = "1", unit: str = "minute", mode: str = "per_key") -> dict[str, str]:
    """Return what one row of limits sends."""
    values = {"max_requests": calls, "duration": duration, "unit": unit, "mode": mode}
    return {f"limits-{row}-{name}": value for name, value in values.items()}


def text_of_rule(entry: dict[str, Any]) -> str:
    return f"{entry['max_requests']} per {entry['duration']} {entry['unit']} {entry['mode']}"


def test_a_limit_is_added_after_the_page_has_said_which_calls_it_would_have_blocked(
    portal_client: Callable[..., Client], key: Key, address: str, make_decision: Callable[..., Any]
) -> None:
    for _ in range(3):
        make_decision(key_id=key.pk, at=clock.now() - timedelta(days=1))
    client = portal_client()
    html = text_of(client.post(address, opened(client, address, **limit(0, "2", unit="calendar_month"))))
    assert '<span class="adds">Adds</span> <code>2 per calendar month (UTC), per key</code>' in html
    assert "This would have blocked 1 of 3 calls" in html
    assert Key.objects.get().limits == []
    assert client.post(address, form_of(html)).status_code == 303
    assert [text_of_rule(entry) for entry in Key.objects.get().limits] == ["2 per 1 calendar_month per_key"]


def test_there_is_one_empty_row_more_than_there_are_limits_and_five_at_most(
    portal_client: Callable[..., Client], make_key: Callable[..., keys.IssuedKey]
) -> None:
    client = portal_client()
    for count, rows in ((0, 1), (2, 3), (4, 5), (5, 5)):
        limits = [{"unit": "minute", "duration": 1, "max_requests": number} for number in range(1, count + 1)]
        html = text_of(client.get(f"/portal/keys/{make_key(limits=limits).key.pk}/edit"))
        assert html.count('class="limit"') == rows


def test_a_changed_limit_keeps_its_id_and_an_emptied_row_is_removed(
    portal_client: Callable[..., Client], make_key: Callable[..., keys.IssuedKey]
) -> None:
    own = [{"unit": "minute", "duration": 1, "max_requests": most} for most in (5, 6, 7)]
    key = make_key(permissions=["routes:read"], limits=own).key
    client, address = portal_client(), f"/portal/keys/{key.pk}/edit"
    rows = limit(0, "", "") | limit(1, "4", "2", mode="per_key_and_ip") | limit(2, "7") | limit(3, "", "")
    html = text_of(client.post(address, opened(client, address, **rows)))
    assert '<span class="adds">Adds</span> <code>4 per 2 minutes, per key and address</code>' in html
    assert "<code>5 per minute, per key</code>, <code>6 per minute, per key</code>" in html
    assert client.post(address, form_of(html)).status_code == 303
    after = Key.objects.get().limits
    assert [text_of_rule(entry) for entry in after] == ["4 per 2 minute per_key_and_ip", "7 per 1 minute per_key"]
    assert [entry["id"] for entry in after] == [entry["id"] for entry in key.limits[1:]]


def test_a_limit_for_some_paths_is_shown_and_kept(
    portal_client: Callable[..., Client], make_key: Callable[..., keys.IssuedKey]
) -> None:
    rule = {"unit": "hour", "duration": 1, "max_requests": 9}
    key = make_key(permissions=["routes:read"], limits=[rule | {"endpoints": ["/v2/routes"]}, rule]).key
    client, address = portal_client(), f"/portal/keys/{key.pk}/edit"
    html = text_of(client.get(address))
    assert "9 per hour, per key" in html
    assert "<code>/v2/routes</code>" in html
    assert html.count('class="limit"') == 2
    review = text_of(client.post(address, opened(client, address, **limit(0, "", "") | limit(1, "3"))))
    assert client.post(address, form_of(review)).status_code == 303
    after = Key.objects.get().limits
    assert after[0] == key.limits[0]
    assert [entry["max_requests"] for entry in after] == [9, 3]


def test_limits_that_stay_as_they_are_leave_nothing_to_review(
    portal_client: Callable[..., Client], make_key: Callable[..., keys.IssuedKey]
) -> None:
    key = make_key(permissions=["routes:read"], limits=[{"unit": "minute", "duration": 1, "max_requests": 5}]).key
    client, address = portal_client(), f"/portal/keys/{key.pk}/edit"
    rows = limit(0, "5") | limit(1, "", "")
    assert client.post(address, opened(client, address, name="Other", **rows)).status_code == 303
    assert client.post(address, opened(client, address, note="Sent without any row")).status_code == 303
    after = Key.objects.get()
    assert (after.name, after.note, after.limits) == ("Other", "Sent without any row", key.limits)


def test_back_to_editing_keeps_the_rows_of_limits(portal_client: Callable[..., Client], key: Key, address: str) -> None:
    client = portal_client()
    review = text_of(client.post(address, opened(client, address, **limit(0, "31", unit="hour"))))
    again = text_of(client.post(address, form_of(review) | {"again": "yes"}))
    assert 'name="limits-0-max_requests" value="31"' in again
    assert '<option value="hour" selected>' in again
    assert 'name="limits-1-max_requests" value=""' in again
    assert again.count('<option value="minute" selected>') == 1


def test_the_empty_row_behind_a_wrong_one_begins_as_every_empty_row_does(
    portal_client: Callable[..., Client], key: Key, address: str
) -> None:
    client = portal_client()
    wrong = text_of(client.post(address, opened(client, address, **limit(0, "none", unit="hour"))))
    assert wrong.count('class="limit"') == 2
    assert wrong.count('<option value="minute" selected>') == 1


@pytest.mark.parametrize(
    ("row", "field", "sentence"),
    [
        pytest.param(limit(0, "0"), "max_requests", "Must be a whole number from 1", id="no calls"),
        pytest.param(limit(0, ""), "max_requests", "Must be a whole number from 1", id="only a time"),
        pytest.param(limit(0, "5", ""), "duration", "Must be a whole number from 1 to 1440.", id="only calls"),
        pytest.param(limit(0, "\u0665"), "max_requests", "Must be a whole number", id="digits of another script"),
        pytest.param(limit(0, "9" * 21), "max_requests", "at most 20 characters", id="a long number"),
        pytest.param(limit(0, "5\x00"), "max_requests", "Null characters", id="a null character"),
        pytest.param(limit(0, "5", unit="week"), "unit", "Must be one of", id="no such unit"),
        pytest.param(limit(0, "5", mode="per_app"), "mode", "counts per_key or per_key_and_ip", id="over all keys"),
        pytest.param(limit(0, "1001"), "max_requests", "no more than 1,000 per minute", id="more than the app allows"),
    ],
)
def test_a_bad_limit_is_a_422_at_its_row(
    portal_client: Callable[..., Client], key: Key, address: str, row: dict[str, str], field: str, sentence: str
) -> None:
    client = portal_client()
    behind = {name.replace("-0-", "-1-"): value for name, value in row.items()}
    response = client.post(address, opened(client, address, **limit(0, "", "") | behind))
    assert response.status_code == 422
    html = text_of(response)
    assert f'href="#field-limits-1-{field}"' in html
    assert f'id="error-limits-1-{field}">' in html
    assert sentence in html
    assert Key.objects.get().updated_at == key.updated_at


def test_an_end_beyond_the_policy_is_a_422_at_its_field(
    portal_client: Callable[..., Client], app: App, key: Key, address: str
) -> None:
    App.objects.filter(pk=app.pk).update(policy=read_policy({"expiry": {"mode": "mandatory", "longest_days": 60}}))
    client = portal_client()
    assert 'value="never"' not in text_of(client.get(address))
    late = (clock.now() + timedelta(days=90)).date().isoformat()
    response = client.post(address, opened(client, address, ends="date", ends_on=late))
    assert response.status_code == 422
    assert "This key has to end by" in text_of(response)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        pytest.param({"name": ""}, "name", id="no name"),
        pytest.param({"name": "\u200b"}, "name", id="nothing to see"),
        pytest.param({"permissions": ["admin:all"]}, "permissions", id="a permission that the app has not"),
        pytest.param({"allowed_cidrs": "10.0.0.0/33"}, "allowed_cidrs", id="no address"),
        pytest.param({"ends": "date", "ends_on": "2001-01-01"}, "ends", id="an end in the past"),
        pytest.param({"ends": "soon"}, "ends", id="no end that is offered"),
        pytest.param({"ends": "keep", "ends_on": "2099-01-01"}, "ends", id="a date beside another end"),
        pytest.param({"note": "x" * 501}, "note", id="a long note"),
    ],
)
def test_bad_input_is_a_422_with_its_field_and_changes_nothing(
    portal_client: Callable[..., Client], key: Key, address: str, fields: dict[str, Any], field: str
) -> None:
    client = portal_client()
    response = client.post(address, opened(client, address, **fields))
    assert response.status_code == 422
    assert f'href="#field-{field}"' in text_of(response)
    assert Key.objects.get().updated_at == key.updated_at


@pytest.mark.parametrize("seen", ["", "yesterday", "2026-01-01", "\x00"])
def test_a_form_that_has_seen_nothing_changes_nothing(
    portal_client: Callable[..., Client], key: Key, address: str, seen: str
) -> None:
    client = portal_client()
    assert client.post(address, opened(client, address, name="New", seen=seen)).status_code in (400, 409, 412, 422)
    assert Key.objects.get().name == "Billing worker"


def test_a_role_below_may_neither_look_nor_do(portal_client: Callable[..., Client], key: Key, address: str) -> None:
    client = portal_client(role="viewer")
    assert client.get(address).status_code == 403
    assert client.post(address, {"name": "x"}).status_code == 403


def test_a_key_that_has_ended_is_not_changed(
    portal_client: Callable[..., Client], app: App, key: Key, address: str
) -> None:
    keys.revoke_key(app_id=app.pk, key_id=key.pk, actor=ACTOR, now=clock.now())
    assert portal_client().get(address).status_code == 409


def test_a_key_is_bound_to_resources_after_a_look_at_what_that_would_have_blocked(
    portal_client: Callable[..., Client], app: App, key: Key, address: str, make_decision: Callable[..., Any]
) -> None:
    App.objects.filter(pk=app.pk).update(resources=["/v2/routes", "/v2/reports"])
    make_decision(key_id=key.pk, path="/v2/routes/7")
    client = portal_client()
    assert 'name="resources" value="/v2/reports"' in text_of(client.get(address))
    review = client.post(address, opened(client, address, resources=["/v2/reports"]))
    html = text_of(review)
    assert "Resources" in html
    assert "GET /v2/routes/7" in html
    assert client.post(address, form_of(html)).status_code == 303
    key.refresh_from_db()
    assert key.resources == ["/v2/reports"]
    assert "<dt>Resources</dt><dd><code>/v2/reports</code>" in text_of(client.get(f"/portal/keys/{key.pk}"))


def test_to_take_the_last_resource_away_is_said_to_open_everything(
    portal_client: Callable[..., Client], app: App, key: Key, address: str
) -> None:
    App.objects.filter(pk=app.pk).update(resources=["/v2/reports"])
    Key.objects.filter(pk=key.pk).update(resources=["/v2/reports"])
    client = portal_client()
    html = text_of(client.post(address, opened(client, address, resources=[])))
    assert re.search(r"only /v2/reports .*becomes</span> everything", html)
    assert client.post(address, form_of(html)).status_code == 303
    assert Key.objects.get(pk=key.pk).resources == []


def test_a_resource_that_the_app_has_lost_is_not_shown_to_let_calls_through(
    portal_client: Callable[..., Client], app: App, key: Key, address: str, make_decision: Callable[..., Any]
) -> None:
    App.objects.filter(pk=app.pk).update(resources=["/v2/reports"])
    Key.objects.filter(pk=key.pk).update(resources=["/v2/routes", "/v2/reports"])
    make_decision(key_id=key.pk, path="/v2/routes/7")
    client = portal_client()
    html = text_of(client.post(address, opened(client, address, resources=["/v2/routes"])))
    assert "This would have blocked 1 call" in html


def test_a_resource_that_the_app_has_dropped_is_marked_on_the_page_and_in_the_form_which_takes_it_away(
    portal_client: Callable[..., Client], app: App, key: Key, address: str
) -> None:
    App.objects.filter(pk=app.pk).update(resources=["/v2/reports"])
    Key.objects.filter(pk=key.pk).update(resources=["/v2/routes", "/v2/reports"])
    client = portal_client()
    page, form = text_of(client.get(f"/portal/keys/{key.pk}")), text_of(client.get(address))
    assert f'<code>/v2/routes</code> <span class="sub">({DROPPED})</span>, <code>/v2/reports</code></dd>' in page
    assert f'value="/v2/routes" checked><span><code>/v2/routes</code> <span class="sub">{DROPPED}</span></span>' in form
    assert 'value="/v2/reports" checked><span><code>/v2/reports</code></span>' in form
    assert "refused everywhere" not in page + form
    review = client.post(address, opened(client, address, resources=["/v2/reports"]))
    assert client.post(address, form_of(text_of(review))).status_code == 303
    assert Key.objects.get(pk=key.pk).resources == ["/v2/reports"]
    assert DROPPED not in text_of(client.get(f"/portal/keys/{key.pk}")) + text_of(client.get(address))


def test_a_permission_that_the_app_has_dropped_is_marked_on_the_page_and_in_the_form_which_takes_it_away(
    portal_client: Callable[..., Client], app: App, key: Key, address: str
) -> None:
    App.objects.filter(pk=app.pk).update(permissions=["routes:read"])
    Key.objects.filter(pk=key.pk).update(permissions=["routes:read", "tiles:read"])
    client = portal_client()
    page, form = text_of(client.get(f"/portal/keys/{key.pk}")), text_of(client.get(address))
    assert f'<code>routes:read</code>, <code>tiles:read</code> <span class="sub">({STILL_WORKS})</span></dd>' in page
    assert f'value="tiles:read" checked><span><code>tiles:read</code> <span class="sub">{STILL_WORKS}</span>' in form
    assert (page + form).count(STILL_WORKS) == 2
    review = client.post(address, opened(client, address, permissions=["routes:read"]))
    assert client.post(address, form_of(text_of(review))).status_code == 303
    assert STILL_WORKS not in text_of(client.get(f"/portal/keys/{key.pk}")) + text_of(client.get(address))


def test_no_ready_made_choice_gives_a_permission_that_the_app_has_dropped(
    portal_client: Callable[..., Client], app: App, key: Key, address: str
) -> None:
    App.objects.filter(pk=app.pk).update(permissions=["routes:read", "routes:write"])
    Key.objects.filter(pk=key.pk).update(permissions=["routes:read", "tiles:read"])
    client = portal_client()
    review = client.post(address, opened(client, address, access="full"))
    assert client.post(address, form_of(text_of(review))).status_code == 303
    assert Key.objects.get(pk=key.pk).permissions == ["routes:read", "routes:write"]


def test_no_permission_is_marked_where_the_app_takes_any(
    portal_client: Callable[..., Client], app: App, key: Key, address: str
) -> None:
    App.objects.filter(pk=app.pk).update(permissions=[])
    Key.objects.filter(pk=key.pk).update(permissions=["tiles:read"])
    client = portal_client()
    assert STILL_WORKS not in text_of(client.get(f"/portal/keys/{key.pk}")) + text_of(client.get(address))


@pytest.mark.parametrize("named", [["/v2/reports"], []])
def test_a_key_whose_resources_are_all_dropped_is_said_to_be_refused_everywhere(
    portal_client: Callable[..., Client], app: App, key: Key, address: str, named: list[str]
) -> None:
    App.objects.filter(pk=app.pk).update(resources=named)
    Key.objects.filter(pk=key.pk).update(resources=["/v2/routes", "/v2/tiles"])
    client = portal_client()
    for page in (f"/portal/keys/{key.pk}", address):
        html = text_of(client.get(page))
        assert html.count(DROPPED) == 2
        assert "This key is refused everywhere" in html
    review = client.post(address, opened(client, address, resources=[]))
    assert "refused everywhere" not in text_of(review)
    assert client.post(address, form_of(text_of(review))).status_code == 303
    assert "refused everywhere" not in text_of(client.get(f"/portal/keys/{key.pk}"))


def test_a_change_that_keeps_dropped_resources_alone_says_that_the_key_is_then_refused_everywhere(
    portal_client: Callable[..., Client], app: App, key: Key, address: str
) -> None:
    App.objects.filter(pk=app.pk).update(resources=["/v2/reports"])
    Key.objects.filter(pk=key.pk).update(resources=["/v2/routes", "/v2/reports"])
    client = portal_client()
    for headers in ({}, {"HX-Request": "true", "HX-Target": "dialog"}):
        review = client.post(address, opened(client, address, resources=["/v2/routes"]), headers=headers)
        assert "With this change the key is refused everywhere" in text_of(review)


def test_the_page_of_a_revoked_key_does_not_also_say_that_its_resources_refuse_it(
    portal_client: Callable[..., Client], app: App, key: Key
) -> None:
    Key.objects.filter(pk=key.pk).update(resources=["/v2/routes"])
    keys.revoke_key(app_id=app.pk, key_id=key.pk, reason="", actor=ACTOR, now=clock.now())
    assert "refused everywhere" not in text_of(portal_client().get(f"/portal/keys/{key.pk}"))


@pytest.mark.parametrize(
    ("named", "sentence"),
    [
        (["/v2/reports"], "Today it opens /v2/reports."),
        ([], "Today it opens nothing: the app names none of its resources any more."),
    ],
)
def test_the_page_of_a_call_says_what_the_key_opens_as_the_gateway_has_it(
    portal_client: Callable[..., Client], app: App, key: Key, make_decision: Callable[..., Any], named: list[str],
    sentence: str,
) -> None:  # fmt: skip
    App.objects.filter(pk=app.pk).update(resources=named)
    Key.objects.filter(pk=key.pk).update(resources=["/v2/routes", "/v2/reports"])
    row = make_decision(key_id=key.pk, rule="resource_not_allowed", path="/v2/tiles")
    assert sentence in text_of(portal_client().get(f"/portal/logs/req_{row.id.hex}"))


def test_a_new_key_is_bound_to_the_resources_that_are_ticked(
    portal_client: Callable[..., Client], app: App, filled: Callable[..., dict[str, str]]
) -> None:
    App.objects.filter(pk=app.pk).update(resources=["/v2/routes"])
    client = portal_client()
    fields = filled(client, "/portal/keys/new", name="Bound", ends="30", access="full", resources="/v2/routes")
    client.post("/portal/keys/new", fields)
    assert Key.objects.get(name="Bound").resources == ["/v2/routes"]
    fields = filled(client, "/portal/keys/new", name="Beyond", ends="30", access="full", resources="/v2/other")
    assert client.post("/portal/keys/new", fields).status_code == 422
    assert not Key.objects.filter(name="Beyond").exists()
