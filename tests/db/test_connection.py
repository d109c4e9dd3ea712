"""A connection is what its URL says, and what it is opened for."""

import pytest

from apiauth.audit.connection import connect
from tests.support.database import database_url


@pytest.mark.django_db
def test_settings_come_into_force_beside_those_of_the_url() -> None:
    url = database_url()
    url += f"{'&' if '?' in url else '?'}options=-c%20search_path%3Dpg_catalog"
    with connect(url, "-c plan_cache_mode=force_custom_plan") as connection:
        in_force = [connection.execute(f"SHOW {name}").fetchone() for name in ("search_path", "plan_cache_mode")]
    assert in_force == [("pg_catalog",), ("force_custom_plan",)]
