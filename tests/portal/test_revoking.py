"""The form of a revoke says what was called in the last day, what is in use, and which secrets it ends."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from django.test import Client

from apiauth.core import clock
from apiauth.core.policy import read_policy
from apiauth.models import App, Key
from apiauth.services import keys
from tests.conftest import ACTOR

pytestmark = pytest.mark.django_db
MakeKey = Callable[..., keys.IssuedKey]
ClientFor = Callable[..., Client]


def address(key: Key) -> str:
    return f"/portal/keys/{key.pk}/revoke"


def test_the_calls_of_the_last_day_are_counted_and_none_from_before(
    portal_client: ClientFor, make_key: MakeKey, count_calls: Callable[..., None]
) -> None:
    late_in_its_hour = clock.now().replace(minute=40, second=0, microsecond=0) - timedelta(hours=1)
    key = make_key().key
    count_calls(key.pk, 5, at=late_in_its_hour - timedelta(hours=24, minutes=30))
    count_calls(key.pk, 7, at=late_in_its_hour - timedelta(hours=1))
    with time_machine.travel(late_in_its_hour, tick=False):
        html = portal_client().get(address(key)).content.decode()
    assert "this key made <b>7</b> calls." in html


def test_it_names_every_old_secret_that_it_ends(
    portal_client: ClientFor, filled: Callable[..., dict[str, str]], app: App, make_key: MakeKey
) -> None:
    now = clock.now()
    act = {"app_id": app.pk, "overlap": timedelta(days=20), "actor": ACTOR}
    first = make_key(now=now - timedelta(days=9)).key
    second = keys.rotate_key(key_id=first.pk, now=now - timedelta(days=2), **act).key
    newest = keys.rotate_key(key_id=second.pk, now=now - timedelta(days=1), **act).key
    client = portal_client()
    offer = client.get(address(newest)).content.decode().split("Also stop ")[1].split("</label>")[0]
    assert all(f"the old secret (…{old.key_suffix}), which still works until" in offer for old in (first, second))
    client.post(address(newest), filled(client, address(newest), reason="Other", old_too="yes"))
    assert not Key.objects.filter(revoked_at=None).exists()


@pytest.mark.parametrize(("when_overdue", "is_in_use"), [("mark", True), ("block", False)])
def test_a_key_whose_calls_are_blocked_for_its_rotation_is_not_in_use(
    portal_client: ClientFor,
    filled: Callable[..., dict[str, str]],
    app: App,
    make_key: MakeKey,
    use_key: Callable[..., None],
    when_overdue: str,
    is_in_use: bool,
) -> None:
    rotation = {"mode": "required", "every_days": 30, "when_overdue": when_overdue}
    App.objects.filter(pk=app.pk).update(policy=read_policy({"rotation": rotation}))
    key, client = make_key(now=clock.now() - timedelta(days=40)).key, portal_client()
    use_key(key.pk)
    html = client.get(address(key)).content.decode()
    assert ("Revoking breaks its callers" in html) == is_in_use
    assert ("Its calls are blocked already" in html) != is_in_use
    assert client.post(address(key), filled(client, address(key))).status_code == (422 if is_in_use else 303)
