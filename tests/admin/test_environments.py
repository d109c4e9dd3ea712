"""Staff tell the apps of a test environment from those that are for real."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("chosen", "slugs"), [("live", {"aa_1"}), ("test", {"aa_2", "aa_3"}), ("none", {"aa_4"}), ("other", set())]
)
def test_apps_are_found_by_the_environment_of_their_prefix(
    administrator: Client, make_app: Callable[..., Any], chosen: str, slugs: set[str]
) -> None:
    for number, prefix in enumerate(("nw_live", "nw_test", "test", "nw_latest"), 1):
        make_app(f"aa_{number}", key_prefix=prefix)
    page = administrator.get("/admin/apiauth/app/", {"environment": chosen}).content.decode()
    found = {slug for slug in ("aa_1", "aa_2", "aa_3", "aa_4") if f">{slug}</a>" in page}
    assert found == (slugs or {"aa_1", "aa_2", "aa_3", "aa_4"})
