"""A blocked call leads to the page on which its cause can be mended, for those who may."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apiauth.core import clock
from apiauth.models import App, Key
from apiauth.services import keys
from tests.conftest import ACTOR

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(make_key: Callable[..., keys.IssuedKey]) -> Key:
    return make_key(permissions=["routes:read"], allowed_cidrs=["10.0.0.0/8"]).key


def decision_page(client: Client, decision: Any) -> str:
    return client.get(f"/portal/logs/req_{decision.id.hex}").content.decode()


@pytest.mark.parametrize(
    ("rule", "rest"),
    [
        pytest.param("permission_denied", "/edit", id="edit its permissions"),
        pytest.param("resource_not_allowed", "/edit", id="edit its resources"),
        pytest.param("ip_not_allowed", "/edit?add=203.0.113.24", id="add the address"),
    ],
)
def test_a_blocked_call_leads_to_its_remedy(
    portal_client: Callable[..., Client], key: Key, make_decision: Callable[..., Any], rule: str, rest: str
) -> None:
    decision = make_decision(rule=rule, key_id=key.pk)
    link = f'href="/portal/keys/{key.pk}{rest}"'
    assert link in decision_page(portal_client(), decision)
    assert link not in decision_page(portal_client(role="member"), decision)


def test_the_address_stands_in_the_form_and_is_added_only_when_that_is_sent(
    portal_client: Callable[..., Client], key: Key
) -> None:
    html = portal_client().get(f"/portal/keys/{key.pk}/edit", {"add": "203.0.113.24"}).content.decode()
    assert "10.0.0.0/8\n203.0.113.24</textarea>" in html
    assert Key.objects.get().allowed_cidrs == ["10.0.0.0/8"]


@pytest.mark.parametrize("text", ["", "10.0.0.0/8", "<script>", "\x00", "9" * 5000])
def test_anything_but_an_address_is_left_out(portal_client: Callable[..., Client], key: Key, text: str) -> None:
    response = portal_client().get(f"/portal/keys/{key.pk}/edit", {"add": text})
    assert response.status_code == 200
    assert ">10.0.0.0/8</textarea>" in response.content.decode()


def test_a_disabled_key_can_be_enabled_from_the_call_that_it_blocked(
    portal_client: Callable[..., Client], app: App, key: Key, make_decision: Callable[..., Any]
) -> None:
    keys.disable_key(app_id=app.pk, key_id=key.pk, actor=ACTOR, now=clock.now())
    html = decision_page(portal_client(), make_decision(rule="key_disabled", key_id=key.pk))
    assert f'href="/portal/keys/{key.pk}/enable"' in html
