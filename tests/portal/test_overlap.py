"""While two secrets of a key work, its page says which is still called; the old one is ended or extended there."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.core import clock
from apiauth.models import App, Key
from apiauth.models.audit import MinuteRollup
from apiauth.services import keys
from tests.conftest import ACTOR
from tests.portal.conftest import hidden_fields

pytestmark = pytest.mark.django_db
MakeKey = Callable[..., keys.IssuedKey]
ClientFor = Callable[..., Client]


@pytest.fixture
def rotated(app: App, make_key: MakeKey) -> tuple[Key, Key]:
    """An old key of three days, and the new one that replaced it two hours ago."""
    now = clock.now()
    old = make_key(now=now - timedelta(days=3)).key
    issued = keys.rotate_key(
        app_id=app.pk, key_id=old.pk, overlap=timedelta(days=1), actor=ACTOR, now=now - timedelta(hours=2)
    )
    old.refresh_from_db()
    return old, issued.key


def page(client: Client, key: Key) -> str:
    return client.get(f"/portal/keys/{key.pk}").content.decode().replace("&#x27;", "'")


def count_minute(key: Key, calls: int) -> None:
    minute = (clock.now() - timedelta(minutes=5)).replace(second=0, microsecond=0)
    MinuteRollup.objects.create(app_id=key.app_id, key_id=key.pk, minute=minute, allowed=calls, blocked=0)


def test_it_says_how_often_and_from_where_the_old_secret_is_still_called(
    rotated: tuple[Key, Key], portal_client: ClientFor, make_decision: Callable[..., Any], use_key: Callable[..., None]
) -> None:
    old, new = rotated
    count_minute(old, 1204)
    count_minute(new, 3)
    use_key(old.pk)
    make_decision(key_id=old.pk, client_ip="192.0.2.88")
    html = page(portal_client(), new)
    assert "1,204 calls since the rotation" in html
    assert "3 calls since the rotation" in html
    assert "In the last day from <code>192.0.2.88</code>" in html
    assert "Still in use." in html
    assert "Safe to end now" not in html


def test_it_says_when_the_old_secret_has_been_quiet_for_a_day(
    rotated: tuple[Key, Key], portal_client: ClientFor, use_key: Callable[..., None]
) -> None:
    old, new = rotated
    use_key(old.pk, at=clock.now() - timedelta(days=1, minutes=1))
    assert "Safe to end now: no call with the old secret for a day." in page(portal_client(), new)


def test_the_old_secret_is_given_another_day_once_however_often_that_is_sent(
    rotated: tuple[Key, Key], portal_client: ClientFor
) -> None:
    old, new = rotated
    client = portal_client()
    form = hidden_fields(page(client, new)) | {"until": (old.overlap_ends_at + timedelta(days=1)).isoformat()}
    assert f'name="until" value="{form["until"]}"' in page(client, new)
    done = client.post(f"/portal/keys/{old.pk}/extend-overlap", form)
    assert done.status_code == 303
    assert "works until" in client.get(done.url).content.decode()
    assert client.post(f"/portal/keys/{old.pk}/extend-overlap", form).status_code == 400
    before = old.overlap_ends_at
    old.refresh_from_db()
    assert old.overlap_ends_at == before + timedelta(days=1)


@pytest.mark.parametrize("until", ["", "tomorrow", "2026-13-40", "2027-01-01T00:00", "9999-12-31T23:59:59Z", "\x00"])
def test_a_moment_that_was_not_offered_is_a_400(rotated: tuple[Key, Key], portal_client: ClientFor, until: str) -> None:
    old, new = rotated
    client = portal_client()
    form = hidden_fields(page(client, new)) | {"until": until}
    assert client.post(f"/portal/keys/{old.pk}/extend-overlap", form).status_code == 400
    assert Key.objects.get(pk=old.pk).overlap_ends_at == old.overlap_ends_at


def test_a_secret_that_ends_with_its_key_cannot_be_extended(
    app: App, make_key: MakeKey, portal_client: ClientFor
) -> None:
    now = clock.now()
    old = make_key(expires_at=now + timedelta(hours=3)).key
    new = keys.rotate_key(app_id=app.pk, key_id=old.pk, overlap=timedelta(hours=3), actor=ACTOR, now=now).key
    html = page(portal_client(), new)
    assert "End now" in html
    assert "Extend to" not in html


def test_a_key_with_two_secrets_is_shown_by_ten_queries_at_most(
    rotated: tuple[Key, Key], portal_client: ClientFor, django_assert_max_num_queries: Callable[..., Any]
) -> None:
    _, new = rotated
    client = portal_client()
    client.get("/portal/")
    with django_assert_max_num_queries(10):
        assert client.get(f"/portal/keys/{new.pk}").status_code == 200
