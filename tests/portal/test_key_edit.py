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
            [*fields[name], value]
            if name == "permissions" and name in fields
            else ([value] if name == "permissions" else value)
        )
    return fields


def opened(client: Client, address: str, **changes: Any) -> dict[str, Any]:
    key = Key.objects.get(pk=int(address.split("/")[3]))
    as_it_is = {
        "name": key.name,
        "note": key.note,
        "permissions": key.permissions,
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
    client = portal_client(role="member")
    assert client.get(address).status_code == 403
    assert client.post(address, {"name": "x"}).status_code == 403


def test_a_key_that_has_ended_is_not_changed(
    portal_client: Callable[..., Client], app: App, key: Key, address: str
) -> None:
    keys.revoke_key(app_id=app.pk, key_id=key.pk, actor=ACTOR, now=clock.now())
    assert portal_client().get(address).status_code == 409
