"""A revoke in the portal can be taken back while the app's policy lets it, and then no longer."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from apiauth.core.policy import read_policy
from apiauth.models import App, Key
from apiauth.services import keys
from tests.conftest import ACTOR
from tests.portal.conftest import hidden_fields

pytestmark = pytest.mark.django_db


@pytest.fixture
def undoable(app: App) -> App:
    App.objects.filter(pk=app.pk).update(policy=read_policy({"revocation": {"undo_minutes": 10}}))
    return app


def text_of(response: Any) -> str:
    return str(response.content.decode().replace("&#x27;", "'"))


def revoke(client: Client, filled: Callable[..., dict[str, str]], key: Key) -> str:
    address = f"/portal/keys/{key.pk}/revoke"
    return text_of(client.get(client.post(address, filled(client, address, reason="Other")).url))


def test_the_page_after_a_revoke_offers_to_undo_it(
    undoable: App, portal_client: Callable[..., Client], filled: Callable[..., Any], make_key: Callable[..., Any]
) -> None:
    key, client = make_key().key, portal_client()
    assert "A revoke can be undone for 10 minutes." in text_of(client.get(f"/portal/keys/{key.pk}/revoke"))
    html = revoke(client, filled, key)
    assert "This revoke can be undone until" in html
    back = client.post(f"/portal/keys/{key.pk}/undo-revoke", hidden_fields(html))
    assert "is back. Its secret is the same" in text_of(client.get(back.url))
    assert Key.objects.get().revoked_at is None
    assert client.post(f"/portal/keys/{key.pk}/undo-revoke", hidden_fields(html)).status_code == 409


def test_without_the_policy_a_revoke_is_final(
    portal_client: Callable[..., Client], filled: Callable[..., Any], make_key: Callable[..., Any]
) -> None:
    key, client = make_key().key, portal_client()
    html = revoke(client, filled, key)
    assert "can be undone" not in html
    assert client.post(f"/portal/keys/{key.pk}/undo-revoke", hidden_fields(html)).status_code == 409


def test_after_the_time_there_is_nothing_to_undo(
    undoable: App, portal_client: Callable[..., Client], make_key: Callable[..., Any]
) -> None:
    then = timezone.now() - timedelta(minutes=11)
    key = make_key(now=then - timedelta(days=1)).key
    keys.revoke_key(app_id=undoable.pk, key_id=key.pk, actor=ACTOR, now=then)
    Key.objects.filter(pk=key.pk).update(revoked_by_kind="subject")
    assert "can be undone until" not in text_of(portal_client().get(f"/portal/keys/{key.pk}"))


def test_what_support_revoked_is_not_offered(
    undoable: App, portal_client: Callable[..., Client], make_key: Callable[..., Any]
) -> None:
    key = make_key().key
    keys.revoke_key(app_id=undoable.pk, key_id=key.pk, actor=ACTOR, now=timezone.now())
    assert "can be undone until" not in text_of(portal_client().get(f"/portal/keys/{key.pk}"))
