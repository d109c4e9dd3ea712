"""While two secrets of a key work, its page says which is still called; the old one is ended or extended there."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
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


@pytest.fixture(autouse=True)
def no_host_is_known() -> None:
    """Forget the gateways and workers that tests with processes have left."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM apiauth_gatewaystatus; DELETE FROM apiauth_workerstatus")


def stop_worker(*, minutes_ago: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO apiauth_workerstatus SELECT 'one', at, at"
            " FROM (SELECT clock_timestamp() - make_interval(mins => %s, secs => 5)) AS stopped (at)",
            [minutes_ago],
        )


def page(client: Client, key: Key, rest: str = "") -> str:
    return client.get(f"/portal/keys/{key.pk}{rest}").content.decode().replace("&#x27;", "'")


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


@pytest.mark.parametrize("was_used", [True, False], ids=["quiet", "never used"])
def test_while_the_log_lags_nobody_is_told_that_the_old_secret_is_quiet(
    rotated: tuple[Key, Key], portal_client: ClientFor, use_key: Callable[..., None], was_used: bool
) -> None:
    old, new = rotated
    if was_used:
        use_key(old.pk, at=clock.now() - timedelta(days=1, minutes=1))
    stop_worker(minutes_ago=12)
    html = page(portal_client(), new)
    assert "The log is 12 minutes behind, so calls of that time are not in it yet." in html
    assert "Safe to end now" not in html
    assert "Not used yet." not in html


def test_what_is_in_use_is_in_use_however_late_the_log_is(
    rotated: tuple[Key, Key], portal_client: ClientFor, use_key: Callable[..., None]
) -> None:
    old, new = rotated
    use_key(old.pk)
    stop_worker(minutes_ago=12)
    assert "Still in use." in page(portal_client(), new)


def test_while_the_log_lags_a_revoke_is_not_called_safe(
    make_key: MakeKey, portal_client: ClientFor, rotated: tuple[Key, Key]
) -> None:
    stop_worker(minutes_ago=90)
    html = page(portal_client(), make_key().key, "/revoke")
    assert "Whether it is in use is not known: the log is behind." in html
    assert html.count("The log is 1 h behind, so calls of that time are not in it yet.") == 1
    assert "Safe to revoke" not in html


def test_while_the_log_lags_the_review_of_a_change_says_so(
    make_key: MakeKey, portal_client: ClientFor, rotated: tuple[Key, Key]
) -> None:
    stop_worker(minutes_ago=12)
    assert "The log is 12 minutes behind" in page(portal_client(), make_key().key, "/disable")


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
