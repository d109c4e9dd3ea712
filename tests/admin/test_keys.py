"""What staff see of one key."""

from collections.abc import Callable

from django.test import Client
from django.urls import reverse

from apiauth.services.keys import IssuedKey

DAY = {"unit": "day", "duration": 1, "max_requests": 500}


def test_staff_see_a_keys_own_limits(administrator: Client, make_key: Callable[..., IssuedKey]) -> None:
    limited = make_key(limits=[DAY, {**DAY, "max_requests": 9, "mode": "per_key_and_ip", "endpoints": ["/v1/a"]}])
    page = administrator.get(reverse("admin:apiauth_key_change", args=[limited.key.pk])).content.decode()
    assert "500 per day, per key · 9 per day, per key and address, for /v1/a" in page
