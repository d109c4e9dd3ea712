"""A key's page says on how many gateways its last change is in force, and leads back to itself until it is on all."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apiauth.models import GatewayStatus
from apiauth.services.keys import IssuedKey


@pytest.fixture
def address(make_key: Callable[..., IssuedKey]) -> str:
    GatewayStatus.objects.all().delete()
    return reverse("admin:apiauth_key_change", args=[make_key().key.pk])


def start_gateway() -> None:
    now = timezone.now()
    GatewayStatus.objects.create(incarnation=uuid4(), host="a", pid=1, generation=1, confirmed_at=now, started_at=now)


def acknowledge() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE apiauth_gatewaystatus SET epoch = keystead_epoch(), seen = '9999999:9999999:'")


def test_it_can_be_asked_again_until_it_is_on_all(administrator: Client, address: str) -> None:
    start_gateway()
    page = administrator.get(address).content.decode()
    assert "on 0 of 1 gateways" in page
    assert f'<a href="{address}">Look again</a>' in page
    acknowledge()
    page = administrator.get(address).content.decode()
    assert "on 1 of 1 gateways" in page
    assert "Look again" not in page


def test_without_a_gateway_there_is_nothing_to_look_for(administrator: Client, address: str) -> None:
    page = administrator.get(address).content.decode()
    assert "no gateway is running" in page
    assert "Look again" not in page
