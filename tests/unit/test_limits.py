"""Windows of limits, how a rule is written, and what a rule may say."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiauth.core.errors import Invalid
from apiauth.core.limits import LONGEST, LimitRule, Mode, Unit, load_rules, parse_rules, retry_after_seconds

rules = st.sampled_from(list(Unit)).flatmap(
    lambda unit: st.builds(
        LimitRule,
        id=st.just("r"),
        unit=st.just(unit),
        duration=st.integers(1, LONGEST[unit]),
        max_requests=st.integers(1, 1000),
    )
)
moments_ms = st.integers(0, 4_000_000_000_000)


@given(rules, moments_ms)
def test_a_moment_lies_in_its_window_and_all_of_the_window_agrees(rule, now_ms):
    start, end = rule.window_at(now_ms)
    assert start <= now_ms < end
    assert rule.window_at(start) == rule.window_at(end - 1) == (start, end)
    assert rule.window_at(end)[0] == end


@given(rules, moments_ms)
def test_the_wait_is_whole_seconds_that_reach_the_next_window(rule, now_ms):
    _, end = rule.window_at(now_ms)
    wait = retry_after_seconds(end, now_ms)
    assert wait >= 1
    assert end <= now_ms + wait * 1000 < end + 1000


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


CALENDAR = {Unit.CALENDAR_DAY, Unit.MONTH, Unit.CALENDAR_MONTH}
DAYS = {
    "a day": (utc(2026, 11, 24), utc(2026, 11, 25)),
    "the year's last day": (utc(2026, 12, 31), utc(2027, 1, 1)),
    "a leap day": (utc(2028, 2, 29), utc(2028, 3, 1)),
    "the day Europe's clocks change": (utc(2026, 3, 29), utc(2026, 3, 30)),
}
MONTHS = {
    "a month of 28 days": (utc(2026, 2, 1), utc(2026, 3, 1)),
    "of 29": (utc(2028, 2, 1), utc(2028, 3, 1)),
    "of 30": (utc(2026, 4, 1), utc(2026, 5, 1)),
    "the year's last month": (utc(2026, 12, 1), utc(2027, 1, 1)),
}


@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [
        pytest.param(unit, *edges, id=f"{unit}, {name}")
        for units, spans in (([Unit.CALENDAR_DAY], DAYS), ([Unit.MONTH, Unit.CALENDAR_MONTH], MONTHS))
        for unit in units
        for name, edges in spans.items()
    ],
)
def test_a_calendar_unit_begins_and_ends_at_midnight_utc(unit, start, end):
    rule = LimitRule(id="r", unit=unit, duration=1, max_requests=5)
    first, last = (int(moment.timestamp() * 1000) for moment in (start, end))
    assert rule.window_at(first) == rule.window_at(last - 1) == (first, last)
    assert rule.window_at(first - 1)[1] == first
    assert rule.window_at(last)[0] == last


@given(rules, moments_ms)
def test_a_unit_that_is_no_calendars_is_as_long_as_it_says_and_counts_from_1970(rule, now_ms):
    if rule.unit not in CALENDAR:
        start, end = rule.window_at(now_ms)
        assert (start % rule.length_ms, end - start) == (0, rule.length_ms)


@pytest.mark.parametrize(
    ("unit", "duration", "text"),
    [
        ("minute", 1, "60/60s"),
        ("millisecond", 500, "60/500ms"),
        ("hour", 1, "60/3600s"),
        ("millisecond", 2000, "60/2s"),
    ],
)
def test_a_rule_is_written_as_the_wire_writes_it(unit, duration, text):
    (rule,) = parse_rules([{"unit": unit, "duration": duration, "max_requests": 60}])
    assert rule.text == text


def test_a_rule_without_mode_counts_per_app_and_rules_come_by_priority():
    first, second = parse_rules(
        [
            {"unit": "minute", "duration": 1, "max_requests": 5, "priority": 2},
            {"unit": "second", "duration": 1, "max_requests": 5, "priority": 1},
        ]
    )
    assert (first.unit, second.mode) == (Unit.SECOND, Mode.PER_APP)


def test_a_stored_rule_reads_back_as_itself():
    parsed = parse_rules(
        [{"unit": "day", "duration": 2, "max_requests": 5, "mode": "per_ip", "endpoints": ["/a", "*"], "priority": 3}]
    )
    assert load_rules([rule.as_json() for rule in parsed]) == parsed


GOOD = {"unit": "minute", "duration": 1, "max_requests": 60}


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        (None, "rules"),
        ([], "rules"),
        ("x", "rules"),
        ([1], "rules[0]"),
        ([{**GOOD, "duration": 0}], "rules[0].duration"),
        ([{**GOOD, "duration": -1}], "rules[0].duration"),
        ([{**GOOD, "duration": 1.5}], "rules[0].duration"),
        ([{**GOOD, "duration": True}], "rules[0].duration"),
        ([{**GOOD, "duration": 1441}], "rules[0].duration"),
        ([{**GOOD, "unit": "calendar_month", "duration": 2}], "rules[0].duration"),
        ([{**GOOD, "unit": "year"}], "rules[0].unit"),
        ([{**GOOD, "unit": None}], "rules[0].unit"),
        ([{**GOOD, "unit": ["minute"]}], "rules[0].unit"),
        ([{**GOOD, "max_requests": 0}], "rules[0].max_requests"),
        ([{**GOOD, "max_requests": 2**31}], "rules[0].max_requests"),
        ([GOOD, {**GOOD, "mode": "per_moon"}], "rules[1].mode"),
        ([{**GOOD, "endpoints": []}], "rules[0].endpoints"),
        ([{**GOOD, "endpoints": "/a"}], "rules[0].endpoints"),
        ([{**GOOD, "endpoints": ["/a", "/a/../b"]}], "rules[0].endpoints[1]"),
        ([{**GOOD, "endpoints": ["a"]}], "rules[0].endpoints[0]"),
        ([{**GOOD, "priority": "1"}], "rules[0].priority"),
        ([{**GOOD, "id": "x"}, {**GOOD, "id": "x"}], "rules[1].id"),
        ([{**GOOD, "extra": 1}], "rules[0]"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_its_field(rules, field):
    with pytest.raises(Invalid) as refusal:
        parse_rules(rules)
    assert refusal.value.field == field
