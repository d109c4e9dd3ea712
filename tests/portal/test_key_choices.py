"""What the form of a new key offers: permissions with what they are for, ready-made choices, addresses and ends."""

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.core import clock
from apiauth.core.policy import read_policy
from apiauth.models import App, Key

pytestmark = pytest.mark.django_db
NEW = "/portal/keys/new"
ClientFor = Callable[..., Client]
Fill = Callable[..., dict[str, Any]]
CATALOGUE = {
    "permissions": ["invoices:read", "routes:read", "routes:write"],
    "permission_details": {
        "routes:read": {"description": "Look routes up.", "group": "Routes"},
        "routes:write": {"description": "Change routes.", "group": "Routes"},
    },
}


def text_of(response: Any) -> str:
    return str(response.content.decode().replace("&#x27;", "'"))


@pytest.fixture
def catalogue(app: App) -> App:
    App.objects.filter(pk=app.pk).update(**CATALOGUE)
    return app


def test_permissions_are_described_under_their_headings(catalogue: App, portal_client: ClientFor) -> None:
    html = text_of(portal_client().get(NEW))
    assert html.index(">Routes</p>") < html.index("Look routes up.") < html.index(">Other</p>")
    assert html.index(">Other</p>") < html.index('value="invoices:read"')


@pytest.mark.parametrize(
    ("access", "granted"),
    [
        pytest.param("preset-0", ["invoices:read", "routes:read"], id="read only"),
        pytest.param("full", ["invoices:read", "routes:read", "routes:write"], id="full access"),
        pytest.param("choose", ["routes:write"], id="chosen by hand"),
    ],
)
def test_a_ready_made_choice_grants_what_it_names_and_nothing_that_is_ticked_beside_it(
    catalogue: App, portal_client: ClientFor, filled: Fill, access: str, granted: list[str]
) -> None:
    client = portal_client()
    client.post(NEW, filled(client, NEW, name="x", ends="30", access=access, permissions="routes:write"))
    assert Key.objects.get().permissions == granted


def test_the_app_names_its_own_choices(catalogue: App, portal_client: ClientFor) -> None:
    App.objects.filter(pk=catalogue.pk).update(permission_presets={"Planner": ["routes:read", "routes:write"]})
    html = text_of(portal_client().get(NEW))
    assert "Planner" in html
    assert "Read only" not in html


def test_no_choice_reaches_beyond_the_ticket(catalogue: App, portal_client: ClientFor, filled: Fill) -> None:
    client = portal_client(permissions=("invoices:read", "routes:write"))
    html = text_of(client.get(NEW))
    assert "routes:read" not in html
    client.post(NEW, filled(client, NEW, name="x", ends="30", access="full"))
    assert Key.objects.get().permissions == ["invoices:read", "routes:write"]


@pytest.mark.parametrize("access", ["preset-9", "admin", "\x00"])
def test_a_choice_that_is_not_offered_is_a_422(
    catalogue: App, portal_client: ClientFor, filled: Fill, access: str
) -> None:
    client = portal_client()
    assert client.post(NEW, filled(client, NEW, name="x", ends="30", access=access)).status_code == 422
    assert not Key.objects.exists()


def test_addresses_are_one_a_line_of_either_family(portal_client: ClientFor, filled: Fill) -> None:
    client = portal_client()
    form = filled(client, NEW, name="x", ends="30", allowed_cidrs="192.0.2.7\r\n2001:db8::/48, 10.0.0.0/8\r\n")
    client.post(NEW, form)
    assert Key.objects.get().allowed_cidrs == ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/48"]


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("10.0.0.0/33", id="too long a prefix"),
        pytest.param("example.com", id="a host name"),
        pytest.param("\n".join(f"10.0.0.{number}" for number in range(51)), id="51 addresses"),
        pytest.param("1" * 4001, id="4,001 characters"),
    ],
)
def test_a_bad_address_is_named_and_what_was_typed_stays(portal_client: ClientFor, filled: Fill, typed: str) -> None:
    client = portal_client()
    response = client.post(NEW, filled(client, NEW, name="Kept", ends="30", allowed_cidrs=typed))
    assert response.status_code == 422
    assert 'href="#field-allowed_cidrs"' in text_of(response)
    assert typed in text_of(response).replace("\r", "")
    assert not Key.objects.exists()


def test_ones_own_address_is_added_by_a_button_that_keeps_the_rest_and_makes_no_key(
    portal_client: ClientFor, filled: Fill
) -> None:
    client = portal_client()
    assert "Your address now is <code>127.0.0.1</code>." in text_of(client.get(NEW))
    form = filled(client, NEW, name="Kept", ends="30", allowed_cidrs="10.0.0.0/8", permissions="routes:read")
    response = client.post(NEW, {**form, "add_address": "yes"})
    assert response.status_code == 200
    html = text_of(response)
    assert "10.0.0.0/8\n127.0.0.1</textarea>" in html
    assert 'value="Kept"' in html
    assert 'value="routes:read" checked' in html
    assert 'value="30" checked' in html
    assert not Key.objects.exists()


def test_the_longest_life_that_the_app_allows_is_offered_and_nothing_beyond(app: App, portal_client: ClientFor) -> None:
    document = {"expiry": {"mode": "mandatory", "longest_days": 45, "default_days": 14}}
    App.objects.filter(pk=app.pk).update(policy=read_policy(document))
    html = text_of(portal_client().get(NEW))
    assert 'value="14" checked' in html
    assert "45 days" in html
    assert ", the longest here" in html
    assert 'value="90"' not in html
    assert 'value="never"' not in html


@pytest.mark.parametrize("ends", ["30", "90", "365", "never"])
def test_a_typed_date_beside_another_end_is_refused_at_the_choice_and_makes_no_key(
    portal_client: ClientFor, filled: Fill, ends: str
) -> None:
    client, day = portal_client(), str((clock.now() + timedelta(days=40)).date())
    response = client.post(NEW, filled(client, NEW, name="Two ends", ends=ends, ends_on=day))
    assert response.status_code == 422
    html = text_of(response)
    sentence = "You entered a date. Choose “On a date”, or leave it empty."
    assert f'<p class="wrong" id="error-ends">{sentence}</p>' in html
    assert 'href="#field-ends"' in html
    assert f'value="{day}"' in html
    assert not Key.objects.exists()


def test_an_empty_date_beside_another_end_makes_the_key(portal_client: ClientFor, filled: Fill) -> None:
    client = portal_client()
    response = client.post(NEW, filled(client, NEW, name="One end", ends="never", ends_on=""))
    assert response.status_code == 200
    assert Key.objects.get().expires_at is None


def test_a_typed_date_that_is_chosen_is_the_end(portal_client: ClientFor, filled: Fill) -> None:
    client, day = portal_client(), (clock.now() + timedelta(days=40)).date()
    client.post(NEW, filled(client, NEW, name="One end", ends="date", ends_on=str(day)))
    assert Key.objects.get().expires_at == datetime.combine(day, time(), UTC)
