"""An app may name many permissions: each form takes them all."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apiauth.models import App, Key
from apiauth.services import keys
from tests.portal.test_key_edit import form_of, text_of

pytestmark = pytest.mark.django_db
NEW = "/portal/keys/new"
NAMES = [f"routes:read-{number:03}" for number in range(200)]


@pytest.fixture
def app(make_app: Callable[..., App]) -> App:
    return make_app(permissions=NAMES)


def test_a_key_is_made_with_two_hundred_permissions_that_were_ticked(
    portal_client: Callable[..., Client], filled: Callable[..., dict[str, Any]], app: App
) -> None:
    client = portal_client()
    form = filled(client, NEW, name="all of it", ends="90") | {"permissions": NAMES}
    assert client.post(NEW, form).status_code == 200
    assert sorted(Key.objects.get().permissions) == NAMES


def test_two_hundred_permissions_go_through_the_review_of_an_edit(
    portal_client: Callable[..., Client], make_key: Callable[..., keys.IssuedKey], app: App
) -> None:
    key = make_key(permissions=NAMES[:1]).key
    client, address = portal_client(), f"/portal/keys/{key.pk}/edit"
    typed = {"name": "all of it", "permissions": NAMES, "allowed_cidrs": "10.0.0.0/8", "ends": "keep"}
    review = client.post(address, form_of(text_of(client.get(address))) | typed)
    assert review.status_code == 200
    assert client.post(address, form_of(text_of(review))).status_code == 303
    key.refresh_from_db()
    assert (sorted(key.permissions), key.allowed_cidrs) == (NAMES, ["10.0.0.0/8"])


def test_both_json_doors_take_two_hundred_permissions(
    portal_client: Callable[..., Client], backend: Client, app: App
) -> None:
    body = {"name": "of the backend", "permissions": NAMES}
    made = backend.post(f"/api-auth/apps/{app.slug}/keys", body, content_type="application/json")
    form = {"name": "of a page", "permissions": NAMES}
    shown = portal_client().post("/api-auth/keys", form, headers={"Origin": app.deployment.allowed_origins[0]})
    assert (made.status_code, shown.status_code) == (200, 200)
    assert [sorted(key.permissions) for key in Key.objects.all()] == [NAMES, NAMES]
