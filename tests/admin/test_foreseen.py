"""Before staff end a key, the page says which of its calls that would have blocked, as they may see them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from apiauth.core import clock
from apiauth.core.policy import read_policy
from apiauth.models import App, Key
from apiauth.services import installation
from apiauth.services.keys import IssuedKey
from tests.admin.test_permissions import act
from tests.portal.test_overlap import stop_worker
from tests.support.decisions import decision, put_on_record

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(app: App, make_key: Callable[..., IssuedKey]) -> Key:
    """A key with four calls that were allowed, three of them from one network, and one that was blocked."""
    made = make_key().key
    where = {"deployment_id": app.deployment_id, "app_id": app.pk, "key_id": made.pk}
    earlier = clock.now() - timedelta(minutes=5)
    put_on_record(
        [
            decision(earlier, **where, client_ip="203.0.113.9"),
            decision(earlier, **where, client_ip="203.0.113.9"),
            decision(earlier, **where, client_ip="203.0.113.10"),
            decision(earlier, **where, client_ip="192.0.2.88", path="/v2/tiles"),
            decision(earlier, **where, client_ip="198.51.100.1", rule="rate_limited"),
        ]
    )
    return made


def shown(client: Client, action: str, key: Key) -> str:
    page: Any = act(client, "key", action, key)
    return " ".join(page.content.decode().split())


@pytest.mark.parametrize("action", ["disable", "revoke"])
def test_it_says_how_many_calls_from_where_and_to_what_it_would_have_blocked(
    administrator: Client, key: Key, action: str
) -> None:
    html = shown(administrator, action, key)
    assert "This would have blocked all 4 calls from 3 addresses, the last one 5 min ago." in html
    assert "Counted over the last 7 days" in html
    assert '<span class="ks-mono">203.0.113.9</span>, 2 calls' in html
    assert '<span class="ks-mono">GET /v2/tiles</span>, 1 call<' in html
    assert "198.51.100.1" not in html


def test_where_the_policy_keeps_addresses_from_staff_it_says_networks(
    administrator: Client, app: App, key: Key
) -> None:
    App.objects.filter(pk=app.pk).update(policy=read_policy({"audit": {"staff_see_addresses": False}}))
    html = shown(administrator, "revoke", key)
    assert '<span class="ks-mono">203.0.113.0/24</span>, 3 calls' in html
    assert "203.0.113.9" not in html
    assert "192.0.2.88" not in html


def test_it_says_how_far_behind_the_log_is(administrator: Client, key: Key) -> None:
    stop_worker(minutes_ago=12)
    assert "The log is 12 minutes behind, so calls of that time are not in it yet." in shown(
        administrator, "disable", key
    )


def test_a_key_without_calls_breaks_nothing(administrator: Client, make_key: Callable[..., IssuedKey]) -> None:
    assert "Nothing would have been blocked" in shown(administrator, "revoke", make_key().key)


def test_it_is_said_again_where_the_reason_is_missing(administrator: Client, key: Key) -> None:
    answer: Any = act(administrator, "key", "revoke", key, confirmed="yes", reason="")
    assert answer.status_code == 422
    assert "This would have blocked all 4 calls" in answer.content.decode()


def test_of_several_keys_it_says_to_take_one_at_a_time(
    administrator: Client, key: Key, make_key: Callable[..., IssuedKey]
) -> None:
    chosen = [str(key.pk), str(make_key().key.pk)]
    page = administrator.post("/admin/apiauth/key/", {"action": "revoke", "_selected_action": chosen})
    html = page.content.decode()
    assert "Which calls this would block is said of one key at a time." in html
    assert "would have blocked" not in html


def test_enabling_a_key_breaks_nothing_and_says_nothing_of_it(administrator: Client, key: Key) -> None:
    assert "What it would break" not in shown(administrator, "enable", key)


def test_who_may_not_see_decisions_is_told_nothing_of_them(key: Key) -> None:
    installation.make_groups()
    clerk = User.objects.create(username="clerk", is_staff=True)
    clerk.user_permissions.set(Permission.objects.filter(codename__in=("view_key", "revoke_key")))
    client = Client()
    client.force_login(clerk)
    html = shown(client, "revoke", key)
    assert "Revoke keys?" in html
    assert "would have blocked" not in html
    assert "203.0.113.9" not in html
