"""Disabling shows first what it would block, can be taken back, and belongs to those whose role allows it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.core import clock
from apiauth.core.policy import read_policy
from apiauth.models import App, Key
from apiauth.services import keys

pytestmark = pytest.mark.django_db
MakeKey = Callable[..., keys.IssuedKey]
ClientFor = Callable[..., Client]


def page(client: Client, address: str) -> str:
    return client.get(address).content.decode().replace("&#x27;", "'")


def test_a_key_is_disabled_and_enabled_without_javascript(
    portal_client: ClientFor, filled: Callable[..., Any], make_key: MakeKey
) -> None:
    key, client = make_key().key, portal_client()
    address = f"/portal/keys/{key.pk}"
    assert f'href="{address}/disable"' in page(client, address)
    done = client.post(f"{address}/disable", filled(client, f"{address}/disable", reason="odd calls"))
    assert "is disabled. Its calls are blocked until it is enabled again." in page(client, done.url)
    key.refresh_from_db()
    assert key.disabled_at is not None
    assert f'href="{address}/enable"' in page(client, "/portal/keys")
    done = client.post(f"{address}/enable", filled(client, f"{address}/enable"))
    assert "is enabled. Its calls are let through again." in page(client, done.url)
    key.refresh_from_db()
    assert key.disabled_at is None
    assert "odd calls" in page(client, address)


def test_disabling_twice_and_enabling_a_working_key_are_refused_kindly(
    portal_client: ClientFor, filled: Callable[..., Any], make_key: MakeKey
) -> None:
    key, client = make_key().key, portal_client()
    address = f"/portal/keys/{key.pk}"
    form = filled(client, f"{address}/disable")
    assert client.post(f"{address}/enable", form).status_code == 409
    client.post(f"{address}/disable", form)
    assert client.post(f"{address}/disable", form).status_code == 409
    assert client.get(f"{address}/disable").status_code == 409


@pytest.mark.parametrize("verb", ["disable", "enable"])
def test_a_role_below_may_neither_look_nor_do(portal_client: ClientFor, make_key: MakeKey, verb: str) -> None:
    key, client = make_key().key, portal_client(role="member")
    address = f"/portal/keys/{key.pk}/{verb}"
    assert client.get(address).status_code == 403
    assert client.post(address, {"reason": "x"}).status_code == 403
    assert Key.objects.get().disabled_at is None


def test_an_over_long_reason_is_a_422_and_changes_nothing(
    portal_client: ClientFor, filled: Callable[..., Any], make_key: MakeKey
) -> None:
    key, client = make_key().key, portal_client()
    address = f"/portal/keys/{key.pk}/disable"
    response = client.post(address, filled(client, address, reason="x" * 401))
    assert response.status_code == 422
    assert Key.objects.get().disabled_at is None


@pytest.mark.parametrize("verb", ["disable", "revoke"])
def test_it_says_how_many_calls_from_where_and_to_what_it_would_have_blocked(
    portal_client: ClientFor, make_key: MakeKey, make_decision: Callable[..., Any], verb: str
) -> None:
    key = make_key().key
    for _ in range(3):
        make_decision(key_id=key.pk)
    make_decision(key_id=key.pk, client_ip="192.0.2.88", path="/v2/tiles", at=clock.now() - timedelta(days=3))
    make_decision(key_id=key.pk, rule="rate_limited")
    html = page(portal_client(), f"/portal/keys/{key.pk}/{verb}")
    assert "This would have blocked all 4 calls from 2 addresses, the last one 1 min ago." in html
    assert "Counted over the last 7 days" in html
    assert '<code>203.0.113.24</code><span class="num">3</span>' in html
    assert '<code>GET /v2/tiles</code><span class="num">1</span>' in html


def test_who_may_not_see_addresses_is_told_none(
    app: App, portal_client: ClientFor, make_key: MakeKey, make_decision: Callable[..., Any]
) -> None:
    key = make_key().key
    make_decision(key_id=key.pk)
    App.objects.filter(pk=app.pk).update(policy=read_policy({"authority": {"see_addresses": "owner"}}))
    html = page(portal_client(), f"/portal/keys/{key.pk}/disable")
    assert "This would have blocked 1 call, the last one 1 min ago." in html
    assert "203.0.113.24" not in html


def test_a_key_without_calls_breaks_nothing(portal_client: ClientFor, make_key: MakeKey) -> None:
    html = page(portal_client(), f"/portal/keys/{make_key().key.pk}/disable")
    assert "Nothing would have been blocked" in html


def test_revoking_offers_what_can_be_taken_back(portal_client: ClientFor, make_key: MakeKey) -> None:
    key = make_key().key
    html = page(portal_client(), f"/portal/keys/{key.pk}/revoke")
    assert f'href="/portal/keys/{key.pk}/disable"' in html
    assert f'href="/portal/keys/{key.pk}/rotate"' in html
