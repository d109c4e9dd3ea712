"""A page says what its app's policy asks, marks the keys that fall short, and whom a hidden change takes."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.core import clock
from apiauth.core.actor import Actor
from apiauth.core.policy import read_policy
from apiauth.models import App, Key
from apiauth.services import keys, policies

pytestmark = pytest.mark.django_db
MakeKey = Callable[..., keys.IssuedKey]
ClientFor = Callable[..., Client]


def set_policy(app: App, **document: Any) -> None:
    App.objects.filter(pk=app.pk).update(policy=read_policy(document))


def page(client: Client, address: str) -> str:
    return client.get(address).content.decode().replace("&#x27;", "'")


def aged(make_key: MakeKey, **age: float) -> Key:
    return make_key(now=clock.now() - timedelta(**age)).key


@pytest.mark.parametrize(
    ("left", "word", "tone"),
    [
        pytest.param(timedelta(days=31), "Not used yet", "", id="31 days"),
        pytest.param(timedelta(days=29, hours=1), "Expires in 30 days", "", id="30 days"),
        pytest.param(timedelta(days=6, hours=1), "Expires in 7 days", " warn", id="7 days"),
        pytest.param(timedelta(hours=20, minutes=1), "Expires in 20 h", " bad", id="1 day"),
    ],
)
def test_the_mark_of_a_key_says_how_near_its_end_is(
    portal_client: ClientFor, make_key: MakeKey, left: timedelta, word: str, tone: str
) -> None:
    key = make_key(expires_at=clock.now() + left).key
    for address in ("/portal/keys", f"/portal/keys/{key.pk}"):
        assert f'<span class="tag{tone}">{word}</span>' in page(portal_client(), address)


@pytest.mark.parametrize(
    ("age", "rotation", "mark"),
    [
        pytest.param(20, {}, None, id="not due for long"),
        pytest.param(35, {}, '<span class="tag">Rotate within 25 days</span>', id="due in 25 days"),
        pytest.param(54, {}, '<span class="tag warn">Rotate within 6 days</span>', id="due in 6 days"),
        pytest.param(61, {}, '<span class="tag bad">Rotation overdue</span>', id="overdue"),
        pytest.param(
            61, {"when_overdue": "block"}, '<span class="tag bad">Blocked: rotation overdue</span>', id="blocked"
        ),
        pytest.param(
            61,
            {"when_overdue": "block", "grace_days": 7},
            '<span class="tag bad">Rotation overdue</span>',
            id="in the grace",
        ),
    ],
)
def test_a_key_is_marked_when_it_must_be_rotated(
    app: App, portal_client: ClientFor, make_key: MakeKey, age: int, rotation: dict[str, Any], mark: str | None
) -> None:
    key = aged(make_key, days=age, hours=1)
    set_policy(app, rotation={"mode": "required", "every_days": 60, **rotation})
    for address in ("/portal/keys", f"/portal/keys/{key.pk}"):
        html = page(portal_client(), address)
        assert (mark in html) if mark else ("Rotate within" not in html and "overdue" not in html)


def test_an_overdue_key_says_from_when_on_it_is_blocked_and_stands_on_the_overview(
    app: App, portal_client: ClientFor, make_key: MakeKey
) -> None:
    key = aged(make_key, days=61)
    set_policy(app, rotation={"mode": "required", "every_days": 60, "when_overdue": "block", "grace_days": 7})
    assert "This key had to be rotated by" in page(portal_client(), f"/portal/keys/{key.pk}")
    overview = page(portal_client(), "/portal/")
    assert "Billing worker: Rotation overdue" in overview
    assert "Its calls are blocked from" in overview


def test_the_form_of_a_new_key_and_its_page_say_what_the_app_asks(
    app: App, portal_client: ClientFor, make_key: MakeKey
) -> None:
    key = make_key().key
    set_policy(
        app,
        expiry={"mode": "mandatory", "longest_days": 90},
        rotation={"mode": "required", "every_days": 60},
        revocation={"undo_minutes": 10},
    )
    for address in ("/portal/keys/new", f"/portal/keys/{key.pk}"):
        html = page(portal_client(), address)
        assert "Keys of this app end within 90 days." in html
        assert "Keys must be rotated every 60 days." in html
        assert "A revoke can be undone for 10 minutes." in html


def test_a_page_names_the_role_that_a_missing_button_takes(
    app: App, portal_client: ClientFor, make_key: MakeKey
) -> None:
    key = make_key().key
    member = portal_client(role="member")
    assert "You need the admin role to edit, disable or revoke this key." in page(member, f"/portal/keys/{key.pk}")
    assert "You need the" not in page(portal_client(), f"/portal/keys/{key.pk}")
    set_policy(app, authority={"create": "owner"})
    assert "You need the owner role to create keys." in page(portal_client(), "/portal/keys")


def test_a_key_that_ends_before_it_is_due_is_not_to_be_rotated(
    app: App, portal_client: ClientFor, make_key: MakeKey
) -> None:
    now = clock.now()
    key = make_key(now=now - timedelta(days=50), expires_at=now + timedelta(days=5)).key
    set_policy(app, rotation={"mode": "required", "every_days": 60})
    assert "Rotate within" not in page(portal_client(), "/portal/keys")
    assert "Rotate by" not in page(portal_client(), f"/portal/keys/{key.pk}")


def test_the_activity_says_that_a_policy_moved_the_end_of_a_key(
    app: App, portal_client: ClientFor, make_key: MakeKey, actor: Actor
) -> None:
    key, now = make_key().key, clock.now()
    policy = read_policy({"expiry": {"mode": "mandatory", "longest_days": 90}})
    where = {"deployment_id": app.deployment_id, "slug": app.slug, "actor": actor, "now": now}
    policies.set_policy(policy=policy, applies_at=now + timedelta(days=7), **where)
    assert "changed <a" in (shown := page(portal_client(), f"/portal/keys/{key.pk}"))
    assert ": the app's policy moved its end</span>" in shown
