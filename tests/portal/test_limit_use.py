"""The page of a key shows each limit with what a gateway last said of it, and never more than that."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.audit import series
from apiauth.core import clock
from apiauth.models import App, Key, RateLimitScheme
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
    newest = limit_use.Newest(decisions, since=day_ago)
    minutes = series.hours_and_minutes_of_key(**of_key)[1]
    [use] = limit_use.of_key(limit_use.rules_of(app, key), newest, minutes, now)
    return use


def page_of(client: Client, key: Key) -> str:
    return client.get(f"/portal/keys/{key.pk}").content.decode()


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


def test_the_page_shows_it(key: Key, portal_client: Callable[..., Client], make_decision: Callable[..., Any]) -> None:
    make_decision(key_id=key.pk, at=clock.now(), rate_limits=[{"rule": "100/3600s", "remaining": 59, "limit": 100}])
    html = page_of(portal_client(), key)
    assert "100 per hour, per key" in html
    assert "41 <small>of 100 used</small>" in html
    assert "As of " in html


def test_a_limit_of_the_key_s_own_stands_behind_those_of_its_app(limited: App, make_key: Callable[..., Any]) -> None:
    own = {"unit": "minute", "duration": 1, "max_requests": 5, "mode": "per_key"}
    key = make_key(limits=[own]).key
    assert [rule.max_requests for rule in limit_use.rules_of(limited, key)] == [100, 5]


DAILY = {"unit": "day", "duration": 1, "max_requests": 500, "mode": "per_key"}
MONTHLY = {"unit": "calendar_month", "duration": 1, "max_requests": 9000, "mode": "per_key"}
ON_A_PATH = {**DAILY, "max_requests": 100, "endpoints": ["/v2/routes"]}
NONE_COUNTED = "None counted in this window"
NOT_ALL_SEEN = "None of its newest calls counted, but not all calls of this window were looked at."
LooksAt = Callable[..., str]


@pytest.fixture
def page_under(
    limited: App, make_key: Callable[..., Any], make_decision: Callable[..., Any], portal_client: Callable[..., Client]
) -> LooksAt:
    """Show the page of a key under some limits; each call, the newest first, says what it left of which."""

    def page(
        *rules: dict[str, Any], calls: list[dict[str, int]], own: Sequence[Any] = (), made: timedelta = timedelta(40)
    ) -> str:
        now = clock.now()
        numbered = [{"id": f"rule-{number}", **rule} for number, rule in enumerate(rules)]
        RateLimitScheme.objects.filter(pk=limited.rate_limit_scheme_id).update(rules=numbered)
        key = make_key(now=now - made, limits=own).key
        for number, left in enumerate(calls, start=1):
            states = [{"rule": rule, "remaining": rest, "limit": 0} for rule, rest in left.items()]
            make_decision(key_id=key.pk, at=now - timedelta(milliseconds=number), rate_limits=states)
        return page_of(portal_client(), key)

    return page


def test_a_limit_on_a_path_is_found_behind_many_calls_to_others(page_under: LooksAt) -> None:
    elsewhere = [{"500/86400s": 400 + number} for number in range(15)]
    html = page_under(ON_A_PATH, DAILY, calls=[*elsewhere, {"500/86400s": 420, "100/86400s": 40}])
    assert "60 <small>of 100 used</small>" in html
    assert "100 <small>of 500 used</small>" in html
    assert html.count("/portal/logs/req_") == 10  # as many as are shown


def test_calls_that_were_refused_before_they_counted_do_not_hide_what_was_used(page_under: LooksAt) -> None:
    assert "60 <small>of 500 used</small>" in page_under(DAILY, calls=[{}] * 15 + [{"500/86400s": 440}])


def test_where_not_all_of_the_window_is_looked_at_nobody_says_that_nothing_was_used(
    page_under: LooksAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limit_use, "LOOKED_AT", 12)
    html = page_under(ON_A_PATH, DAILY, calls=[{"500/86400s": 400}] * 15 + [{"100/86400s": 40}])
    assert NONE_COUNTED not in html
    assert html.count("Not known") == html.count(NOT_ALL_SEEN) == 1


def test_where_all_of_the_window_is_looked_at_it_is_said_that_nothing_was_used(page_under: LooksAt) -> None:
    html = page_under(ON_A_PATH, DAILY, calls=[{"500/86400s": 400}] * 15)
    assert html.count(NONE_COUNTED) == 1
    assert "Not known" not in html


@pytest.mark.parametrize(
    ("own", "rules"),
    [
        pytest.param((), (DAILY, {**DAILY, "mode": "per_app"}), id="both of the app"),
        pytest.param(({**DAILY, "mode": "per_key"},), ({**DAILY, "endpoints": ["/v2/routes"]},), id="one of the key"),
    ],
)
def test_of_two_limits_with_one_text_nothing_is_claimed(page_under: LooksAt, own: Any, rules: Any) -> None:
    html = page_under(*rules, own=own, calls=[{"500/86400s": 1}])
    assert html.count("Not known") == html.count("Another limit has the same number and window") == 2
    assert NONE_COUNTED not in html
    assert "of 500 used" not in html


def test_a_key_that_was_made_within_the_window_and_never_called_has_used_nothing(page_under: LooksAt) -> None:
    assert NONE_COUNTED in page_under(MONTHLY, calls=[], made=timedelta())


def test_a_key_whose_last_calls_may_be_forgotten_is_not_said_to_have_used_nothing(
    limited: App, make_key: Callable[..., Any], use_key: Callable[..., None], portal_client: Callable[..., Client]
) -> None:
    """Its last use stands on record for longer than the decision about it."""
    month = {**MONTHLY, "id": "month", "unit": "day", "duration": 30}
    RateLimitScheme.objects.filter(pk=limited.rate_limit_scheme_id).update(rules=[month])
    begin = limit_use.rules_of(App.objects.get(pk=limited.pk), Key())[0].window_start(clock.to_ms(clock.now()))
    before, within = (make_key(now=clock.now() - timedelta(days=90)).key for _ in range(2))
    use_key(before.pk, at=clock.from_ms(begin) - timedelta(hours=1))
    use_key(within.pk, at=clock.from_ms(begin) + timedelta(milliseconds=1))
    assert NONE_COUNTED in page_of(portal_client(), before)
    assert "Not known" in page_of(portal_client(), within)
