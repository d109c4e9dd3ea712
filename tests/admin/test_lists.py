"""The lists of the admin: what they count is so on every page, and many rows ask no more of the database than few."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apiauth.core import clock
from apiauth.models import App
from apiauth.services import deployments, keys, limits
from apiauth.services.keys import IssuedKey
from tests.admin.test_permissions import MODELS
from tests.conftest import ACTOR
from tests.support.decisions import decision, put_on_record

pytestmark = pytest.mark.django_db
RULE = {"unit": "minute", "duration": 1, "max_requests": 5}


@pytest.fixture
def add_tenants(
    make_deployment: Callable[..., Any], make_app: Callable[..., App], session_for: Callable[..., Any]
) -> Callable[..., None]:
    """Add a row of every kind for each of some tenants."""

    def add(*names: str) -> None:
        done = {"actor": ACTOR, "now": clock.now()}
        for name in names:
            owner = make_deployment(name).pk
            app = make_app(f"app_of_{name}", in_deployment=make_deployment(f"{name} with an app"))
            limits.create_scheme(deployment_id=owner, slug="calm", name="Calm", rules=[RULE], **done)
            deployments.issue_backend_key(deployment_id=owner, name="backend", **done)
            keys.create_key(app_id=app.pk, name="ci", **done)
            session_for(app)

    return add


@pytest.mark.parametrize("model", MODELS)
def test_a_list_asks_the_database_no_oftener_for_many_rows_than_for_few(
    administrator: Client, add_tenants: Callable[..., None], model: str
) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert administrator.get(f"/admin/apiauth/{model}/").status_code == 200
        return len(queries)

    add_tenants("a", "b")
    for_few = asked()
    add_tenants(*"cdefghij")
    assert asked() <= for_few


def test_an_app_has_as_many_active_keys_as_the_list_of_keys_shows(
    administrator: Client, app: App, make_key: Callable[..., IssuedKey], now: datetime
) -> None:
    old = make_key(now=now - timedelta(days=9)).key
    keys.rotate_key(app_id=app.pk, key_id=old.pk, overlap=timedelta(days=20), actor=ACTOR, now=now)
    listed = administrator.get("/admin/apiauth/key/", {"status": "active"}).context["cl"].result_list
    assert len(listed) == 1
    assert '<td class="field-active_keys">1</td>' in administrator.get("/admin/apiauth/app/").content.decode()


@pytest.mark.parametrize(("ago", "counted"), [(timedelta(hours=23, minutes=50), 1), (timedelta(hours=25), 0)])
def test_a_call_is_one_of_the_last_day_until_that_is_over(
    administrator: Client, app: App, make_key: Callable[..., IssuedKey], ago: timedelta, counted: int
) -> None:
    key = make_key().key
    late_in_its_hour = clock.now().replace(minute=40, second=0, microsecond=0) - timedelta(hours=1)
    known = {"app_id": app.pk, "deployment_id": app.deployment_id, "key_id": key.pk}
    put_on_record([decision(late_in_its_hour - ago, **known)])
    with time_machine.travel(late_in_its_hour, tick=False):
        of_key = administrator.get(f"/admin/apiauth/key/{key.pk}/change/").content.decode()
        of_app = administrator.get("/admin/apiauth/app/").content.decode()
    assert f"{counted}, 0 of them blocked" in of_key
    assert f'<td class="field-requests">{counted}</td>' in of_app
