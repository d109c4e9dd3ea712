"""The page of a revoked key says on how many gateways that is in force, and asks until it is on all."""

from uuid import uuid4

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from apiauth.core import clock
from apiauth.models import GatewayStatus
from apiauth.services import keys
from tests.conftest import ACTOR

pytestmark = pytest.mark.django_db
PART = {"HX-Request": "true", "HX-Target": "in-force"}


@pytest.fixture
def revoked(app, make_key):
    GatewayStatus.objects.all().delete()
    now = timezone.now()
    for number in range(2):
        GatewayStatus.objects.create(
            incarnation=uuid4(), host=f"host {number}", pid=1, generation=1, confirmed_at=now, started_at=now
        )
    return keys.revoke_key(app_id=app.id, key_id=make_key().key.id, actor=ACTOR, now=clock.now())


def acknowledge(count):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE apiauth_gatewaystatus SET epoch = keystead_epoch(), seen = '9999999:9999999:' WHERE incarnation IN"
            " (SELECT incarnation FROM apiauth_gatewaystatus ORDER BY host LIMIT %s)",
            [count],
        )


def test_the_page_tells_how_far_a_revoke_has_come_without_javascript(revoked, portal_client):
    acknowledge(1)
    client = portal_client()
    page = client.get(reverse("portal:key", args=[revoked.pk]) + "?notice=revoked").content.decode()
    assert "In force on 1 of 2 gateways." in page
    address = reverse("portal:key_in_force", args=[revoked.pk])
    assert f'href="{address}"' in page
    acknowledge(2)
    page = client.get(address).content.decode()
    assert "In force on 2 of 2 gateways." in page
    assert "<h1>" in page


def test_htmx_asks_until_it_is_on_all_gateways(revoked, portal_client):
    client, address = portal_client(), reverse("portal:key_in_force", args=[revoked.pk])
    answer = client.get(address, headers=PART)
    assert (answer.status_code, b"every 1s" in answer.content, b"<h1>" in answer.content) == (200, True, False)
    acknowledge(2)
    answer = client.get(address, headers=PART)
    assert (answer.status_code, b"every 1s" in answer.content) == (286, False)


def test_where_no_gateway_runs_the_page_says_so(revoked, portal_client):
    GatewayStatus.objects.all().delete()
    answer = portal_client().get(reverse("portal:key_in_force", args=[revoked.pk]))
    assert b"No gateway is running." in answer.content


def test_404_for_a_key_of_another_app(revoked, make_app, portal_client):
    stranger = portal_client(make_app("aa_2"))
    assert stranger.get(reverse("portal:key_in_force", args=[revoked.pk])).status_code == 404
