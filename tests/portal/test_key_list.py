"""The list of keys counts and filters by what its rows say."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.core import clock
from apiauth.models import App, Key
from apiauth.services import keys
from tests.conftest import ACTOR

pytestmark = pytest.mark.django_db


def counts(html: str) -> dict[str, str]:
    return dict(re.findall(r"(All|Active|Ending|Ended) <i>([^<]*)</i>", html))


@pytest.mark.parametrize("state", ["works", "disabled", "expired", "revoked"])
def test_a_key_is_ending_as_long_as_its_old_secret_works(
    portal_client: Callable[..., Client], app: App, make_key: Callable[..., keys.IssuedKey], state: str
) -> None:
    now = clock.now()
    old = make_key(now=now - timedelta(days=9)).key
    act = {"app_id": app.pk, "key_id": old.pk, "actor": ACTOR}
    keys.rotate_key(overlap=timedelta(days=20), now=now - timedelta(days=1), **act)
    if state == "disabled":
        keys.disable_key(now=now, **act)
    elif state == "expired":
        Key.objects.filter(pk=old.pk).update(expires_at=now - timedelta(hours=1))
    elif state == "revoked":
        keys.revoke_key(now=now, **act)
    html = portal_client().get("/portal/keys?status=ending").content.decode()
    listed = 1 if state == "works" else 0
    assert counts(html) == {"All": "1", "Active": "1", "Ending": str(listed), "Ended": "0"}
    assert html.count('<tr role="row" id="key-') == 2 * listed  # the key and its old secret


def test_beyond_a_thousand_keys_a_count_is_of_at_least_so_many(
    portal_client: Callable[..., Client], make_many_keys: Callable[..., list[Any]]
) -> None:
    now = clock.now()
    make_many_keys(5, created_at=now - timedelta(days=1), revoked_at=now)
    make_many_keys(995)
    html = portal_client().get("/portal/keys?status=ended").content.decode()
    assert counts(html) == {"All": "1,000", "Active": "995", "Ending": "0", "Ended": "5"}
    make_many_keys(100)
    html = portal_client().get("/portal/keys?status=ended").content.decode()
    assert counts(html) == {"All": "1,000+", "Active": "1,000+", "Ending": "0+", "Ended": "0+"}
    assert html.count('<tr role="row" id="key-') == 5
