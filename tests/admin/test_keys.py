"""What staff see of one key."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse

from apiauth.models import App, Key
from apiauth.services.keys import IssuedKey

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
