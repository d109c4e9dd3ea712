"""Every number that is read from counts equals a recount of the decisions, whatever came in."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from apiauth.audit import search, series
from apiauth.audit.record import Record
from apiauth.audit.steps import edges
from tests.support.decisions import decision, put_on_record

APP, OTHER = 11, 12
KEYS = (22, 23)
NOW = datetime(2026, 11, 23, 14, 20, tzinfo=UTC)
REASONS = [(None, None), ("rate_limited", "60/60s"), ("rate_limited", "5/1s"), ("key_revoked", "key_revoked")]
ZONES = [UTC, ZoneInfo("Europe/Vienna"), ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Apia")]


@st.composite
def records(draw: st.DrawFn) -> Record:
    minutes = draw(st.one_of(st.integers(0, 300), st.integers(0, 60 * 24 * 40)))
    rule, blocked_by = draw(st.sampled_from(REASONS))
    app_id, key_id = draw(st.sampled_from([(APP, KEYS[0]), (APP, KEYS[1]), (APP, None), (OTHER, 99), (None, None)]))
    if key_id is None:
        rule = blocked_by = "key_unknown"
    path = draw(st.sampled_from(["/v1/a", "/v1/b", "/ü"]))
    moment = NOW - timedelta(minutes=minutes)
    return decision(moment, app_id=app_id, key_id=key_id, rule=rule, blocked_by=blocked_by, path=path)


def moment(record: Record) -> datetime:
    return datetime.fromtimestamp(int.from_bytes(record.id[:6], "big") / 1000, UTC)


def pair(rows: list[Record]) -> tuple[int, int]:
    blocked = sum(row.rule is not None for row in rows)
    return len(rows) - blocked, blocked


def by_frequency(counts: Counter) -> list:
    return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))


@pytest.mark.django_db
@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(records(), max_size=40),
    days=st.integers(0, 40),
    hours=st.integers(0, 23),
    zone=st.sampled_from(ZONES),
)
def test_every_number_equals_a_recount(rows: list[Record], days: int, hours: int, zone: ZoneInfo) -> None:
    start, end = NOW - timedelta(days=days, hours=hours), NOW + timedelta(minutes=1)
    with transaction.atomic():
        put_on_record(rows)
        for key_id in (None, *KEYS):
            hour = start.replace(minute=0)
            mine = [row for row in rows if row.app_id == APP and key_id in (None, row.key_id)]
            counted = [row for row in mine if hour <= moment(row) < end]
            where = {"app_id": APP, "key_id": key_id, "start": start, "end": end}
            totals = series.totals(**where)
            assert (totals.allowed, totals.blocked) == pair(counted)
            assert_series(where, mine, counted, zone)
            reasons = Counter((row.rule, row.blocked_by) for row in counted if row.rule)
            assert [((r.rule, r.blocked_by), r.count) for r in series.blocked_reasons(**where)] == by_frequency(reasons)
            first = hour if key_id is None else hour.replace(hour=0)
            paths = Counter(f"{row.method} {row.path}" for row in mine if first <= moment(row) < end)
            assert [(each.path, each.total) for each in series.top_paths(**where)] == by_frequency(paths)
        in_app = [row for row in rows if row.app_id == APP and row.key_id]
        keys = Counter(row.key_id for row in in_app if start.replace(minute=0) <= moment(row) < end)
        found = series.top_keys(app_id=APP, start=start, end=end)
        assert [(each.key_id, each.total) for each in found] == by_frequency(keys)
        used = {row.key_id for row in in_app if moment(row) >= start}
        assert series.keys_used(app_id=APP, since=start) == len(used)
        transaction.set_rollback(True)


def assert_series(where: dict, mine: list[Record], counted: list[Record], zone: ZoneInfo) -> None:
    start, end = where["start"], where["end"]
    for step in ("hour", "day", "week", "month"):
        points = series.timeline(**where, step=step, zone=zone)
        moments = edges(start, end, step, zone)
        expected: dict[datetime, list[Record]] = {begin: [] for begin in moments[:-1]}
        for row in counted:
            hour = moment(row).replace(minute=0, second=0, microsecond=0)  # an hour counts where it begins
            expected[max((begin for begin in moments[:-1] if begin <= hour), default=moments[0])].append(row)
        assert [(point.start, (point.allowed, point.blocked)) for point in points] == [
            (begin, pair(found)) for begin, found in expected.items()
        ]
    since = max(start, end - timedelta(days=1))
    minutes = [row for row in mine if since.replace(second=0) <= moment(row) < end]
    points = series.timeline(**where, step="minute")
    assert (sum(p.allowed for p in points), sum(p.blocked for p in points)) == pair(minutes)


@pytest.mark.parametrize(
    ("zone", "first", "second"),
    [
        ("Europe/Vienna", datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC)),
        ("Asia/Kolkata", datetime(2026, 3, 28, 18, 30, tzinfo=UTC), datetime(2026, 3, 29, 18, 30, tzinfo=UTC)),
    ],
)
def test_a_day_is_as_long_as_its_zone_says(zone: str, first: datetime, second: datetime) -> None:
    found = edges(first + timedelta(hours=3), first + timedelta(hours=4), "day", ZoneInfo(zone))
    assert found == [first, second]


def test_a_day_that_a_zone_skips_is_no_step() -> None:
    around = datetime(2011, 12, 30, 10, tzinfo=UTC)
    found = edges(around - timedelta(days=2), around + timedelta(days=2), "day", ZoneInfo("Pacific/Apia"))
    assert all(one < other for one, other in pairwise(found))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "filters",
    [
        {"path_prefix": "/v1/rare"},
        {"method": "PUT"},
        {"client_ip": "198.51.100.7"},
        {"key_id": 22, "rule": "key_revoked"},
    ],
)
def test_a_rare_row_is_reached_by_pages_that_each_look_at_a_few(monkeypatch, filters: dict) -> None:
    monkeypatch.setattr(search, "LOOKED_THROUGH", 10)
    odd = {"path": "/v1/rare", "method": "PUT", "client_ip": "198.51.100.7", "rule": "key_revoked"}
    put_on_record(
        [decision(NOW - timedelta(hours=1), **odd), *(decision(NOW - timedelta(milliseconds=n)) for n in range(35))]
    )
    wanted = search.DecisionFilters(start=NOW - timedelta(days=1), end=NOW + timedelta(days=1), **filters)
    found, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page = search.decisions(app_id=APP, filters=wanted, cursor=cursor)
        found, cursor, pages = found + page.rows, page.next_cursor, pages + 1
        assert page.has_more is (cursor is not None)
    assert [row.path for row in found] == ["/v1/rare"]
    assert pages == 4


@pytest.mark.django_db
def test_a_cursor_outlives_the_partition_that_it_points_into() -> None:
    old = NOW - timedelta(days=2)
    put_on_record([decision(NOW), decision(old), decision(old)])
    wanted = search.DecisionFilters(start=NOW - timedelta(days=10), end=NOW + timedelta(days=1))
    page = search.decisions(app_id=APP, filters=wanted, limit=2)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM apiauth_decision WHERE decided_at < %s", [NOW - timedelta(days=1)])
    rest = search.decisions(app_id=APP, filters=wanted, cursor=page.next_cursor)
    assert (rest.rows, rest.next_cursor) == ([], None)
