"""The page of a key shows each limit with what a gateway last said of it, and never more than that."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.audit import series
from apiauth.core import clock
from apiauth.models import App, Key
from apiauth.models.audit import MinuteRollup
from apiauth.services import apps, limits
from portal import limit_use
from tests.conftest import ACTOR

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)
HOURLY = {"unit": "hour", "duration": 1, "max_requests": 100, "mode": "per_key"}


@pytest.fixture
def limited(app: App) -> App:
    scheme = {"slug": "basic", "name": "Basic", "rules": [HOURLY]}
    limits.create_scheme(deployment_id=app.deployment_id, actor=ACTOR, now=clock.now(), **scheme)
    changes = {"rate_limit_scheme_slug": "basic"}
    return apps.update_app(
        deployment_id=app.deployment_id, slug=app.slug, changes=changes, actor=ACTOR, now=clock.now()
    )


@pytest.fixture
def key(limited: App, make_key: Callable[..., Any]) -> Key:
    made: Key = make_key().key
    return made


def use_at(app: App, key: Key, now: datetime, decisions: list[Any]) -> limit_use.Use:
    day_ago = now - limit_use.LOOKED_BACK
    of_key = {"app_id": app.pk, "key_id": key.pk, "hours_from": now, "minutes_from": day_ago, "end": now}
    [use] = limit_use.of_key(app, key, decisions, series.hours_and_minutes_of_key(**of_key)[1], now)
    return use


def test_what_was_used_is_what_the_newest_decision_left(
    limited: App, key: Key, make_decision: Callable[..., Any]
) -> None:
    older = make_decision(
        at=NOON - timedelta(seconds=20), rate_limits=[{"rule": "100/3600s", "remaining": 90, "limit": 100}]
    )
    newer = make_decision(
        at=NOON - timedelta(seconds=10), rate_limits=[{"rule": "100/3600s", "remaining": 18, "limit": 100}]
    )
    use = use_at(limited, key, NOON, [newer, older])
    assert (use.used, use.most, use.is_nearly_full) == (82, 100, True)
    assert use.as_of == newer.decided_at
    assert use.resets_at == NOON.replace(hour=13, second=0)


def test_nothing_is_said_of_a_window_in_which_no_gateway_spoke(
    limited: App, key: Key, make_decision: Callable[..., Any]
) -> None:
    before = make_decision(
        at=NOON - timedelta(seconds=31), rate_limits=[{"rule": "100/3600s", "remaining": 1, "limit": 100}]
    )
    use = use_at(limited, key, NOON, [before])
    assert (use.used, use.as_of, use.share) == (None, None, 0)


def test_the_peak_is_the_fullest_window_of_the_last_day(limited: App, key: Key) -> None:
    for hour, minute, allowed in ((9, 0, 30), (9, 59, 31), (10, 0, 60)):
        MinuteRollup.objects.create(
            app_id=limited.pk,
            key_id=key.pk,
            minute=NOON.replace(hour=hour, minute=minute, second=0),
            allowed=allowed,
            blocked=7,
        )
    peak = use_at(limited, key, NOON, []).peak
    assert peak == limit_use.Peak(61, NOON.replace(hour=9, second=0))


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({"mode": "per_app"}, id="shared by all keys"),
        pytest.param({"endpoints": ["/v2/routes"]}, id="on some paths"),
        pytest.param({"unit": "second", "duration": 30}, id="shorter than a minute"),
    ],
)
def test_no_peak_is_made_up_where_the_minutes_do_not_tell_it(limited: App, key: Key, rule: dict[str, Any]) -> None:
    limited.rate_limit_scheme.rules = [{**HOURLY, "id": "one", **rule}]
    MinuteRollup.objects.create(app_id=limited.pk, key_id=key.pk, minute=NOON.replace(second=0), allowed=30, blocked=0)
    assert use_at(limited, key, NOON, []).peak is None


def test_of_two_limits_with_one_text_nothing_is_claimed(
    limited: App, key: Key, make_decision: Callable[..., Any]
) -> None:
    limited.rate_limit_scheme.rules = [{**HOURLY, "id": "a"}, {**HOURLY, "id": "b", "mode": "per_app"}]
    said = make_decision(at=NOON, rate_limits=[{"rule": "100/3600s", "remaining": 1, "limit": 100}] * 2)
    assert [use.used for use in limit_use.of_key(limited, key, [said], [], NOON)] == [None, None]


def test_the_page_shows_it(key: Key, portal_client: Callable[..., Client], make_decision: Callable[..., Any]) -> None:
    make_decision(key_id=key.pk, at=clock.now(), rate_limits=[{"rule": "100/3600s", "remaining": 59, "limit": 100}])
    html = portal_client().get(f"/portal/keys/{key.pk}").content.decode()
    assert "100 per hour, per key" in html
    assert "41 <small>of 100 used</small>" in html
    assert "As of " in html


def test_a_limit_of_the_key_s_own_stands_behind_those_of_its_app(limited: App, make_key: Callable[..., Any]) -> None:
    own = {"unit": "minute", "duration": 1, "max_requests": 5, "mode": "per_key"}
    key = make_key(limits=[own]).key
    assert [use.most for use in limit_use.of_key(limited, key, [], [], NOON)] == [100, 5]
