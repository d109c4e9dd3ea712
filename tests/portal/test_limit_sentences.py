"""The page of a call that a limit blocked says which limit that was, and until when to wait."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.core import clock
from apiauth.models import App
from apiauth.services import apps, limits
from apiauth.services.keys import IssuedKey
from portal import times
from tests.conftest import ACTOR

pytestmark = pytest.mark.django_db
THOUSAND = {"duration": 1, "max_requests": 1_000, "mode": "per_key"}


def page_of(client: Client, decision: Any) -> str:
    return client.get(f"/portal/logs/{decision}").content.decode()


@pytest.mark.parametrize(
    ("wait", "words"),
    [
        (timedelta(seconds=23), times.seconds),
        (timedelta(hours=23), times.seconds),
        (timedelta(days=1), times.in_full),
        (timedelta(days=17), times.in_full),
    ],
    ids=["seconds", "hours", "a day", "days"],
)
def test_a_wait_to_another_day_names_the_day(
    portal_client: Callable[..., Client],
    make_decision: Callable[..., Any],
    wait: timedelta,
    words: Callable[..., str],
) -> None:
    seconds = wait // timedelta(seconds=1)
    blocked = make_decision(rule="rate_limited", blocked_by="1000/2592000s", retry_after=seconds)
    assert f"Wait until {words(blocked.decided_at + wait)}, or spread calls out." in page_of(portal_client(), blocked)


@pytest.mark.parametrize(
    ("of_app", "of_key", "window"),
    [
        ("calendar_month", None, "calendar month (UTC)"),
        (None, "calendar_month", "calendar month (UTC)"),
        (None, None, "30 days"),
    ],
    ids=["of the app", "of the key", "of neither any more"],
)
def test_a_limit_of_a_month_is_called_one(
    portal_client: Callable[..., Client],
    app: App,
    make_key: Callable[..., IssuedKey],
    make_decision: Callable[..., Any],
    of_app: str | None,
    of_key: str | None,
    window: str,
) -> None:
    if of_app:
        where = {"deployment_id": app.deployment_id, "actor": ACTOR, "now": clock.now()}
        limits.create_scheme(slug="monthly", name="Monthly", rules=[{**THOUSAND, "unit": of_app}], **where)
        apps.update_app(slug=app.slug, changes={"rate_limit_scheme_slug": "monthly"}, **where)
    key = make_key(limits=[{**THOUSAND, "unit": of_key}] if of_key else []).key
    blocked = make_decision(rule="rate_limited", blocked_by="1000/2592000s", key_id=key.pk, retry_after=10)
    assert f"Its limit is 1,000 calls per {window}." in page_of(portal_client(), blocked)
