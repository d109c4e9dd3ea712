"""The decision log, totals and series of both JSON doors, by outcome."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client

from apiauth.audit.statements import sql
from apiauth.core import clock, ids
from apiauth.models import App, Deployment, Key
from apiauth.services.keys import IssuedKey
from apiauth.services.sessions import OpenedSession
from tests.support.decisions import decision, put_on_record

LOGS, ANALYTICS, TIMESERIES = "audit/logs", "audit/analytics", "audit/timeseries"


def record(app: App, key: Key | None, moment: datetime, **fields: Any) -> UUID:
    """Put one decision on record; return its id."""
    known = {"key_id": key.id if key else None, "key_name": key.name if key else None}
    row = decision(moment, deployment_id=app.deployment_id, app_id=app.id, **known, **fields)
    put_on_record([row])
    return UUID(bytes=row.id)


@pytest.fixture
def traffic(app: App, make_key: Callable[..., IssuedKey]) -> Key:
    """Six allowed and three blocked calls, a minute apart, the newest just now."""
    key, now = make_key("ci").key, clock.now()
    for minute in range(9):
        blocked = {"rule": "rate_limited", "blocked_by": "60/60s"} if minute < 2 else {}
        if minute == 2:
            blocked = {"rule": "key_revoked"}
        record(app, key, now - timedelta(seconds=minute), **blocked)
    return key


@pytest.fixture
def page(session_for: Callable[..., OpenedSession], app: App) -> Client:
    client = Client()
    client.cookies["ks_session"] = session_for(app, role="viewer").token
    return client


@pytest.fixture
def asked(backend: Client, page: Client, app: App) -> Callable[..., dict[str, Any]]:
    """Ask both doors, check that they say the same, return what they say."""

    def ask(part: str, **query: Any) -> dict[str, Any]:
        one = backend.get(f"/api-auth/apps/{app.slug}/{part}", query)
        other = page.get(f"/api-auth/{part}", query)
        assert (one.status_code, other.status_code) == (200, 200), (one.content, other.content)
        answer = one.json()
        if part != LOGS:
            assert other.json()["data"] == answer
        return answer

    return ask


def test_a_log_line_is_as_the_clients_read_it(
    backend: Client, page: Client, app: App, make_key: Callable[..., IssuedKey]
) -> None:
    key = make_key("ci").key
    row = record(app, key, clock.now(), rule="rate_limited", blocked_by="60/60s", retry_after=7)
    (line,) = backend.get(f"/api-auth/apps/{app.slug}/{LOGS}").json()["data"]
    expected = {
        "request_id": ids.request_id(row),
        "deployment_id": str(app.deployment_id),
        "app_slug": app.slug,
        "key_id": str(key.id),
        "key_name": "ci",
        "outcome": "blocked",
        "blocked_by_rule": "60/60s",
        "rule": "rate_limited",
        "client_ip": "203.0.113.9",
        "path": "GET /v1/a",
        "user_agent": "x/1",
        "rate_limits": [{"rule": "60/60s", "remaining": 59, "limit": 60}],
    }
    assert {name: line[name] for name in expected} == expected
    assert line["timestamp"].endswith("Z")
    (seen,) = page.get(f"/api-auth/{LOGS}").json()["data"]["data"]
    assert json.loads(seen["rate_limits"]) == expected["rate_limits"]


def test_texts_are_never_null_in_the_browser(page: Client, app: App) -> None:
    record(app, None, clock.now(), rule="key_unknown", blocked_by="invalid_key", client_ip=None)
    (line,) = page.get(f"/api-auth/{LOGS}").json()["data"]["data"]
    assert line["key_id"] == line["key_name"] == line["client_ip"] == ""


def test_pages_follow_one_another_without_gap_or_repeat(backend: Client, app: App, traffic: Key) -> None:
    address, found, cursor = f"/api-auth/apps/{app.slug}/{LOGS}", [], {}
    for _ in range(5):
        answer = backend.get(address, {"limit": 2, **cursor}).json()
        found += [line["request_id"] for line in answer["data"]]
        cursor = {"cursor": answer["next_cursor"]}
        assert answer["has_more"] is (answer["next_cursor"] is not None)
    everything = backend.get(address).json()
    assert found == [line["request_id"] for line in everything["data"]]
    assert len(set(found)) == 9
    assert everything["limit"] == 100


def test_logs_are_filtered(asked: Callable[..., dict[str, Any]], traffic: Key) -> None:
    assert len(asked(LOGS, outcome="blocked")["data"]) == 3
    assert len(asked(LOGS, outcome="allowed", limit=4)["data"]) == 4
    assert len(asked(LOGS, outcome="odd")["data"]) == 9
    assert len(asked(LOGS, key_id=str(traffic.id))["data"]) == 9
    assert asked(LOGS, key_id="1")["data"] == []
    assert asked(LOGS, end_date="2020-01-01")["data"] == []
    assert asked(LOGS, start_date="2020-01-01 00:00:00", end_date="2020-02-01T00:00:00+01:00")["data"] == []
    assert len(asked(LOGS, offset=7)["data"]) == 2


def test_logs_are_filtered_by_what_a_row_says(asked: Callable[..., dict[str, Any]], app: App, traffic: Key) -> None:
    odd = record(app, traffic, clock.now(), method="PUT", path="/v2/b_", client_ip="2001:db8::1", rule="key_disabled")
    for filters in (
        {"rule": "key_disabled"},
        {"method": "put"},
        {"path_prefix": "/v2/b_"},
        {"client_ip": "2001:DB8:0::1"},
    ):
        assert [line["request_id"] for line in asked(LOGS, **filters)["data"]] == [ids.request_id(odd)], filters
    assert len(asked(LOGS, rule="rate_limited", key_id=str(traffic.id))["data"]) == 2
    assert asked(LOGS, path_prefix="/v_")["data"] == []


def test_a_request_id_finds_its_call_however_old(asked: Callable[..., dict[str, Any]], app: App, traffic: Key) -> None:
    old = ids.request_id(record(app, None, clock.now() - timedelta(days=40)))
    assert [line["request_id"] for line in asked(LOGS, request_id=old)["data"]] == [old]
    assert asked(LOGS, request_id=old, outcome="blocked")["data"] == []
    assert asked(LOGS, request_id="req_" + "0" * 32)["data"] == []


def test_a_cursor_of_other_filters_is_refused(backend: Client, app: App, traffic: Key) -> None:
    address = f"/api-auth/apps/{app.slug}/{LOGS}"
    cursor = backend.get(address, {"limit": 2, "method": "GET"}).json()["next_cursor"]
    assert backend.get(address, {"cursor": cursor, "method": "GET"}).status_code == 200
    assert backend.get(address, {"cursor": cursor, "method": "PUT"}).status_code == 400


def test_a_log_up_to_the_end_of_times_is_the_log_up_to_now(asked: Callable[..., dict[str, Any]], traffic: Key) -> None:
    until_now = asked(LOGS, start_date="1971-01-01")["data"]
    assert len(until_now) == 9
    assert asked(LOGS, start_date="1971-01-01", end_date="9998-01-01")["data"] == until_now
    assert asked(LOGS, end_date="9998-01-01")["data"] == until_now


def test_logs_go_back_seven_days_unless_told(asked: Callable[..., dict[str, Any]], app: App) -> None:
    old = clock.now() - timedelta(days=8)
    record(app, None, old)
    assert asked(LOGS)["data"] == []
    assert len(asked(LOGS, start_date=(old - timedelta(days=1)).strftime("%Y-%m-%d"))["data"]) == 1


def test_totals_and_rates_are_of_a_hundred(asked: Callable[..., dict[str, Any]], traffic: Key) -> None:
    assert asked(ANALYTICS) == {
        "total_requests": 9,
        "allowed_requests": 6,
        "blocked_requests": 3,
        "success_rate": 66.67,
        "keys_used_24h": 1,
    }


def test_analytics_adds_what_was_asked_for(asked: Callable[..., dict[str, Any]], traffic: Key) -> None:
    flags = ("include_top_keys", "include_top_paths", "include_blocked_reasons", "include_rate_limits")
    answer = asked(ANALYTICS, **dict.fromkeys(flags, "true"))
    assert answer["top_keys"] == [{"key_id": str(traffic.id), "key_name": "ci", "total_requests": 9}]
    assert answer["top_paths"] == [{"path": "GET /v1/a", "total_requests": 9}]
    assert [(entry["blocked_by_rule"], entry["count"], entry["percentage"]) for entry in answer["blocked_reasons"]] == [
        ("60/60s", 2, 66.67),
        ("key_revoked", 1, 33.33),
    ]
    assert answer["rate_limit_stats"] == {
        "total_hits": 2,
        "percentage_of_blocked": 66.67,
        "top_rules": [{"rule": "60/60s", "hit_count": 2, "percentage": 100.0}],
    }


def test_hits_of_limits_are_counted_however_many_limits_there_are(
    asked: Callable[..., dict[str, Any]], app: App, traffic: Key
) -> None:
    now, of_app = clock.now(), {"app_id": app.id, "deployment_id": app.deployment_id, "key_id": traffic.id}
    limits = [f"{number}/60s" for number in range(101, 171)]
    put_on_record(decision(now, rule="rate_limited", blocked_by=limit, **of_app) for limit in limits)
    answer = asked(ANALYTICS, include_rate_limits="true", include_blocked_reasons="true", top_limit=5)
    assert (answer["blocked_requests"], answer["rate_limit_stats"]["total_hits"]) == (73, 72)
    assert len(answer["rate_limit_stats"]["top_rules"]) == len(answer["blocked_reasons"]) == 5


def test_a_series_has_the_steps_with_checks_alone(asked: Callable[..., dict[str, Any]], app: App) -> None:
    now = clock.now()
    record(app, None, now - timedelta(hours=30))
    record(app, None, now)
    answer = asked(TIMESERIES)
    assert answer["interval"] == "hour"
    assert [point["total_requests"] for point in answer["data"]] == [1, 1]
    assert answer["data"][0]["timestamp"] < answer["data"][1]["timestamp"]
    assert answer["data"][0]["success_rate"] == 100.0


def test_a_series_by_the_minute_covers_a_day_at_most(asked: Callable[..., dict[str, Any]], app: App) -> None:
    now = clock.now()
    for ago in (timedelta(hours=25), timedelta(minutes=2), timedelta(0)):
        record(app, None, now - ago)
    points = asked(TIMESERIES, interval="minute")["data"]
    assert [point["total_requests"] for point in points] == [1, 1]
    assert all(point["timestamp"].endswith(":00.000000Z") for point in points)


def test_a_series_by_the_minute_tells_nothing_of_minutes_that_are_forgotten(
    asked: Callable[..., dict[str, Any]], app: App
) -> None:
    at = clock.now() - timedelta(days=5)
    record(app, None, at)
    with connection.cursor() as cursor:
        cursor.execute(sql("forget_minutes"))
    around = {"start_date": (at - timedelta(hours=1)).isoformat(), "end_date": (at + timedelta(hours=1)).isoformat()}
    assert asked(ANALYTICS, **around)["total_requests"] == 1
    assert asked(TIMESERIES, interval="minute", fill="true", **around)["data"] == []


def test_a_series_can_list_its_empty_steps_in_a_zone(asked: Callable[..., dict[str, Any]], app: App) -> None:
    record(app, None, datetime(2026, 3, 28, 22, 30, tzinfo=UTC))
    record(app, None, datetime(2026, 3, 28, 23, 30, tzinfo=UTC))
    days = {"start_date": "2026-03-28T12:00:00Z", "end_date": "2026-03-31T12:00:00Z", "interval": "day"}
    filled = asked(TIMESERIES, **days, tz="Europe/Vienna", fill="true")["data"]
    assert [(point["timestamp"][:13], point["total_requests"]) for point in filled] == [
        ("2026-03-27T23", 1), ("2026-03-28T23", 1), ("2026-03-29T22", 0), ("2026-03-30T22", 0),
    ]  # fmt: skip
    assert [point["total_requests"] for point in asked(TIMESERIES, **days)["data"]] == [2]


def test_a_page_begins_behind_the_row_that_a_client_names(backend: Client, app: App, traffic: Key) -> None:
    address = f"/api-auth/apps/{app.slug}/{LOGS}"
    everything = backend.get(address).json()["data"]
    last = everything[3]
    for moment in (last["timestamp"], "1924992000000"):
        answer = backend.get(address, {"cursor_ts": moment, "cursor_id": last["request_id"], "offset": 5}).json()
        assert answer["data"] == everything[4:]


@pytest.mark.parametrize("interval", ["minute", "hour", "day", "week", "month"])
@pytest.mark.parametrize("end", [{}, {"end_date": "9998-01-01"}], ids=["up to now", "up to the end of times"])
def test_a_range_of_ages_still_shows_what_happened_last(
    asked: Callable[..., dict[str, Any]], traffic: Key, interval: str, end: dict[str, str]
) -> None:
    points = asked(TIMESERIES, interval=interval, start_date="1971-01-01", **end)["data"]
    assert sum(point["total_requests"] for point in points) == 9


@pytest.mark.parametrize("interval", ["minute", "hour", "day", "week", "month"])
@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(minutes=1)], ids=["of no length", "yet to come"])
def test_a_range_in_which_nothing_can_have_happened_is_an_empty_series(
    asked: Callable[..., dict[str, Any]], traffic: Key, interval: str, ahead: timedelta
) -> None:
    start = (clock.now() + ahead).isoformat()
    end = {} if ahead else {"end_date": start}
    assert asked(TIMESERIES, interval=interval, fill="true", start_date=start, **end)["data"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"cursor_ts": "2031-04-05T06:07:08Z"}, "cursor_id"),
        ({"cursor_id": "req_" + "0" * 32}, "cursor_ts"),
        ({"cursor_ts": "soon", "cursor_id": "req_" + "0" * 32}, "cursor_ts"),
        ({"cursor_ts": "1", "cursor_id": "81"}, "cursor_id"),
        ({"cursor_ts": "1", "cursor_id": "req_" + "f" * 32}, "cursor_id"),
    ],
)
def test_400_for_half_a_place_or_none(backend: Client, app: App, query: dict[str, str], field: str) -> None:
    response = backend.get(f"/api-auth/apps/{app.slug}/{LOGS}", query)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, field)


@pytest.mark.parametrize(
    ("asked_for", "answered"),
    [("minute", "minute"), ("hour", "hour"), ("day", "day"), ("week", "week"), ("month", "month"), ("odd", "hour")],
)
def test_the_interval_that_was_used_is_named(
    asked: Callable[..., dict[str, Any]], traffic: Key, asked_for: str, answered: str
) -> None:
    answer = asked(TIMESERIES, interval=asked_for)
    assert answer["interval"] == answered
    assert sum(point["total_requests"] for point in answer["data"]) == 9


def test_an_app_without_checks_has_empty_answers(asked: Callable[..., dict[str, Any]]) -> None:
    assert asked(LOGS)["data"] == asked(TIMESERIES)["data"] == []
    assert asked(ANALYTICS)["success_rate"] == 0.0


BAD_QUERIES = {
    "rule that is none": (LOGS, "rule=odd"),
    "rule with SQL": (LOGS, "rule=' OR 1=1 --"),
    "method that is none": (LOGS, "method=BREW"),
    "path without a slash": (LOGS, "path_prefix=v1"),
    "path with NUL": (LOGS, "path_prefix=/%00"),
    "path of 600": (LOGS, f"path_prefix=/{'a' * 600}"),
    "address that is none": (LOGS, "client_ip=999.1.1.1"),
    "address with a port": (LOGS, "client_ip=127.0.0.1:80"),
    "address with a zone": (LOGS, "client_ip=fe80::1%25eth0"),
    "request id that is none": (LOGS, "request_id=81"),
    "request id of the far future": (LOGS, f"request_id=req_{'f' * 32}"),
    "time zone of a path": (TIMESERIES, "tz=../../etc"),
    "time zone of nowhere": (TIMESERIES, "tz=Mars/Olympus"),
    "time zone with NUL": (TIMESERIES, "tz=UTC%00"),
    "fill in words": (TIMESERIES, "fill=maybe"),
}


@pytest.mark.parametrize(("part", "query"), BAD_QUERIES.values(), ids=BAD_QUERIES)
def test_400_for_a_query_that_cannot_be_read(backend: Client, page: Client, app: App, part: str, query: str) -> None:
    for response in (
        backend.get(f"/api-auth/apps/{app.slug}/{part}?{query}"),
        page.get(f"/api-auth/{part}?{query}"),
    ):
        assert response.status_code == 400, response.content
        assert response.json()["message"]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=1000000000", f"limit={20 * '9'}", "offset=-1", "", "limit=", "sort=key__digest"],
)
def test_a_number_out_of_range_is_clamped_and_an_unknown_field_ignored(backend: Client, app: App, query: str) -> None:
    answer = backend.get(f"/api-auth/apps/{app.slug}/{LOGS}?{query}").json()
    assert 1 <= answer["limit"] <= 1000


def test_a_cursor_of_another_app_is_refused(
    backend: Client, app: App, make_app: Callable[..., App], traffic: Key
) -> None:
    other = make_app("aa_other")
    cursor = backend.get(f"/api-auth/apps/{app.slug}/{LOGS}?limit=2").json()["next_cursor"]
    assert backend.get(f"/api-auth/apps/{other.slug}/{LOGS}", {"cursor": cursor}).status_code == 400


def test_a_key_of_another_app_counts_nothing(
    asked: Callable[..., dict[str, Any]], make_app: Callable[..., App], make_key: Callable[..., IssuedKey], traffic: Key
) -> None:
    other = make_app("aa_other")
    foreign = make_key("foreign", in_app=other).key
    record(other, foreign, clock.now())
    assert asked(LOGS, key_id=str(foreign.id))["data"] == []
    assert asked(ANALYTICS, key_id=str(foreign.id))["total_requests"] == 0
    assert asked(ANALYTICS)["total_requests"] == 9


def test_404_for_an_app_of_another_deployment(
    backend: Client, make_app: Callable[..., App], make_deployment: Callable[..., Deployment]
) -> None:
    foreign = make_app("aa_foreign", in_deployment=make_deployment("Other"))
    assert backend.get(f"/api-auth/apps/{foreign.slug}/{LOGS}").status_code == 404
