"""What staff see of one key."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import time_machine
from django.test import Client
from django.urls import reverse

from apiauth.core.policy import read_policy
from apiauth.models import App, Key
from apiauth.services import keys
from apiauth.services.keys import IssuedKey
from tests.conftest import ACTOR

DROPPED = "no longer named by the app, opens nothing"
REFUSED = "This key is refused everywhere: the app no longer names any resource that it is bound to."
STILL_WORKS = "no longer named by the app, still lets calls through"
DAY = {"unit": "day", "duration": 1, "max_requests": 500}


def test_staff_see_a_keys_own_limits(administrator: Client, make_key: Callable[..., IssuedKey]) -> None:
    limited = make_key(limits=[DAY, {**DAY, "max_requests": 9, "mode": "per_key_and_ip", "endpoints": ["/v1/a"]}])
    page = administrator.get(reverse("admin:apiauth_key_change", args=[limited.key.pk])).content.decode()
    assert "500 per day, per key · 9 per day, per key and address, for /v1/a" in page


@pytest.mark.parametrize(
    ("named", "held", "shown"),
    [
        ([], [], "all"),
        (["/v2/routes"], ["/v2/routes"], "/v2/routes"),
        (["/v2/routes"], ["/v2/routes", "/v2/tiles"], f"/v2/routes, /v2/tiles ({DROPPED})"),
        (["/v2/routes"], ["/v2/tiles"], f"/v2/tiles ({DROPPED}). {REFUSED}"),
    ],
    ids=["of an unbound key", "named", "one dropped", "all dropped"],
)
def test_staff_see_which_resources_of_a_key_open_nothing(
    administrator: Client, app: App, make_key: Callable[..., IssuedKey], named: list[str], held: list[str], shown: str
) -> None:
    key = make_key().key
    App.objects.filter(pk=app.pk).update(resources=named)
    Key.objects.filter(pk=key.pk).update(resources=held)
    page = administrator.get(reverse("admin:apiauth_key_change", args=[key.pk])).content.decode()
    assert f'<div class="readonly">{shown}</div>' in page
    assert ("refused everywhere" in page) == (REFUSED in shown)


@pytest.mark.parametrize(
    ("named", "held", "shown"),
    [
        (["routes:read"], ["routes:read"], "routes:read"),
        (["routes:read"], ["routes:read", "tiles:read"], f"routes:read, tiles:read ({STILL_WORKS})"),
        ([], ["tiles:read"], "tiles:read"),
        (["routes:read"], [], "none"),
    ],
    ids=["named", "one dropped", "of an app that takes any", "of a key without"],
)
def test_staff_see_which_permissions_of_a_key_its_app_no_longer_names(
    administrator: Client, app: App, make_key: Callable[..., IssuedKey], named: list[str], held: list[str], shown: str
) -> None:
    key = make_key().key
    App.objects.filter(pk=app.pk).update(permissions=named)
    Key.objects.filter(pk=key.pk).update(permissions=held)
    page = administrator.get(reverse("admin:apiauth_key_change", args=[key.pk])).content.decode()
    assert f'<div class="readonly">{shown}</div>' in page


@pytest.fixture
def in_every_state(app: App, make_key: Callable[..., IssuedKey], now: datetime) -> dict[str, Key]:
    """A key of each kind that a filter of the list tells from others."""
    soon, day = now + timedelta(days=5), timedelta(days=1)
    act = {"app_id": app.pk, "actor": ACTOR}
    begun = {name: make_key(name, now=now - 9 * day).key for name in ("working", "disabled", "revoked")}
    keys.disable_key(key_id=begun["disabled"].pk, now=now, **act)
    keys.revoke_key(key_id=begun["revoked"].pk, now=now, **act)
    for name, ends in (("ends soon", soon), ("expired", now - day)):
        begun[name] = make_key(name, now=now - 9 * day, expires_at=ends).key
    rotated = {
        "in grace": (20 * day, None),
        "in grace, which ends soon": (4 * day, None),
        "rotated out": (0 * day, None),
        "rotated out before it would end soon": (0 * day, soon),
        "rotated out before it expired": (0 * day, now - day),
    }
    for name, (overlap, ends) in rotated.items():
        old = begun[name] = make_key(name, now=now - 9 * day, expires_at=ends).key
        new = keys.rotate_key(key_id=old.pk, overlap=overlap, now=now - 2 * day, **act).key
        Key.objects.filter(pk=new.pk).update(name="the one in its place", expires_at=None)
    return begun


@pytest.mark.parametrize(
    ("status", "listed"),
    [
        ("active", {"working", "ends soon", "the one in its place"}),
        ("in_grace", {"in grace", "in grace, which ends soon"}),
        ("ends_7", {"ends soon", "in grace, which ends soon"}),
        ("disabled", {"disabled"}),
        ("expired", {"expired"}),
        ("revoked", {"revoked"}),
    ],
)
def test_each_filter_lists_the_keys_that_are_what_it_says(
    administrator: Client, in_every_state: dict[str, Key], status: str, listed: set[str]
) -> None:
    page = administrator.get("/admin/apiauth/key/", {"status": status})
    assert {key.name for key in page.context["cl"].result_list} == listed


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        ("working", {"Disable…", "Revoke…"}),
        ("in grace", {"Disable…", "Revoke…"}),
        ("disabled", {"Enable…", "Revoke…"}),
        ("expired", {"Revoke…"}),
        ("rotated out", set()),
        ("revoked", set()),
    ],
)
def test_the_page_of_a_key_offers_what_can_be_done_to_it(
    administrator: Client, in_every_state: dict[str, Key], state: str, offered: set[str]
) -> None:
    assert doors_of(administrator, in_every_state[state]) == offered


def test_the_page_of_a_key_offers_to_undo_its_revoke_for_as_long_as_its_app_lets_it(
    administrator: Client, app: App, in_every_state: dict[str, Key], now: datetime
) -> None:
    App.objects.filter(pk=app.pk).update(policy=read_policy({"revocation": {"undo_minutes": 10}}))
    revoked = in_every_state["revoked"]
    assert doors_of(administrator, revoked) == {"Undo revoke…"}
    with time_machine.travel(now + timedelta(minutes=10)):
        assert doors_of(administrator, revoked) == set()
    assert doors_of(administrator, in_every_state["working"]) == {"Disable…", "Revoke…"}
    Key.objects.filter(pk=revoked.pk).update(expires_at=now)
    assert doors_of(administrator, revoked) == set(), "it has ended meanwhile"


def doors_of(client: Client, key: Key) -> set[str]:
    page = client.get(reverse("admin:apiauth_key_change", args=[key.pk])).content.decode()
    return set(re.findall(r"\b(?:Disable|Enable|Revoke|Undo revoke)…", page))
