"""The RateLimit fields: structured fields that any reader understands, whatever the rules are called."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiauth.core.limits import LONGEST, LimitRule, Mode, Unit, parse_rules
from apiauth.http.limit_fields import counts, entries, header_fields, templates

NOW_MS = 1_800_000_023_400  # 36.6 s before the end of its minute
ITEM = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"((?:;[a-z]+=\d{1,15})*)(?:, |$)')  # RFC 9651: String, Integers


def read(field: str) -> list[tuple[str, dict[str, int]]]:
    """Return the items of a list of strings with whole-number parameters; fail at what is none."""
    items = []
    position = 0
    while position < len(field):
        match = ITEM.match(field, position)
        assert match, field
        parameters = dict(pair.split("=") for pair in match[2].split(";")[1:])
        items.append((re.sub(r"\\(.)", r"\1", match[1]), {name: int(value) for name, value in parameters.items()}))
        position = match.end()
    return items


def fields_of(*rules, left=2):
    return header_fields([(rule, left) for rule in parse_rules(rules)], NOW_MS)


MINUTE = {"unit": "minute", "duration": 1, "max_requests": 60}


def test_a_limit_is_told_as_the_draft_writes_it():
    assert fields_of(MINUTE, left=59) == {
        "x-ratelimit-60s-limit": "60",
        "x-ratelimit-60s-remaining": "59",
        "ratelimit-policy": '"60/60s";q=60;w=60',
        "ratelimit": '"60/60s";r=59;t=37',
    }


def test_several_limits_make_a_list_in_the_order_of_their_evaluation():
    day = {"unit": "calendar_day", "duration": 1, "max_requests": 9, "priority": -1}
    fields = fields_of(MINUTE, day)
    assert fields["ratelimit-policy"] == '"9/86400s";q=9;w=86400, "60/60s";q=60;w=60'
    assert [name for name, _ in read(fields["ratelimit"])] == ["9/86400s", "60/60s"]


def test_a_call_without_limits_has_no_field():
    assert header_fields([], NOW_MS) == {}


def test_rules_of_one_number_and_window_are_told_apart_by_their_ids():
    per_key = {**MINUTE, "mode": "per_key"}
    fields = fields_of({**MINUTE, "id": "a"}, {**per_key, "id": "b"}, {**per_key, "max_requests": 30})
    names = [name for name, _ in read(fields["ratelimit-policy"])]
    assert names == ["60/60s a", "60/60s b", "30/60s"]
    assert [name for name, _ in read(fields["ratelimit"])] == names
    assert fields["x-ratelimit-60s-remaining"] == "2", "the clients' own names hold one limit a window"


@pytest.mark.parametrize(
    ("unit", "duration", "seconds"),
    [("millisecond", 1, 1), ("millisecond", 1001, 2), ("second", 1, 1), ("day", 30, 2_592_000)],
)
def test_a_window_is_told_in_whole_seconds_rounded_up(unit, duration, seconds):
    fields = fields_of({"unit": unit, "duration": duration, "max_requests": 1})
    assert read(fields["ratelimit-policy"])[0][1] == {"q": 1, "w": seconds}


def test_a_month_has_no_one_length():
    fields = fields_of({"unit": "calendar_month", "duration": 1, "max_requests": 5})
    assert fields["ratelimit-policy"] == '"5/2592000s";q=5'
    assert read(fields["ratelimit"])[0][1]["t"] > 86_400


RULE_IDS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=64)
RULES = st.builds(
    lambda unit, duration, **rest: {"unit": unit, "duration": min(duration, LONGEST[unit]), **rest},
    unit=st.sampled_from(Unit),
    duration=st.integers(1, 60_000),
    id=RULE_IDS,
    max_requests=st.sampled_from([1, 60, 2_147_483_647]),
    mode=st.sampled_from(Mode),
)


@given(st.lists(RULES, min_size=1, max_size=20, unique_by=lambda rule: rule["id"]), st.integers(0, 2_147_483_647))
def test_whatever_the_rules_the_fields_can_be_read_and_no_two_names_are_alike(rules, left):
    parsed = parse_rules(rules)
    fields = header_fields([(rule, left) for rule in parsed], NOW_MS)
    policies, states = read(fields["ratelimit-policy"]), read(fields["ratelimit"])
    assert [name for name, _ in policies] == [name for name, _ in states]
    assert len({name for name, _ in policies}) == len(rules)
    for rule, (_, policy), (_, state) in zip(parsed, policies, states, strict=True):
        assert policy["q"] == rule.max_requests
        assert policy.get("w", 1) >= 1
        assert state == {"r": left, "t": rule.seconds_left(NOW_MS)}


@given(
    st.lists(st.tuples(RULES, st.integers(0, 9)), min_size=1, max_size=20, unique_by=lambda pair: pair[0]["id"]),
    st.integers(NOW_MS, NOW_MS + 3 * 86_400_000),
)
def test_the_templates_filled_in_are_what_is_written_from_nothing(rules, now_ms):
    parsed = parse_rules([rule for rule, _ in rules])
    limits = [(rule, left) for rule, (_, left) in zip(parsed, rules, strict=True)]
    known = templates(parsed)
    numbers = counts(known, [left for _, left in limits], now_ms)
    filled = json.loads(b"[[%b],{%b}]" % (known.entries, known.fields) % tuple(numbers))
    assert filled == [entries(limits), header_fields(limits, now_ms)]
    assert list(filled[1]) == list(header_fields(limits, now_ms))


def test_a_rule_by_itself_is_called_by_its_text():
    assert LimitRule(id="x", unit=Unit.SECOND, duration=1, max_requests=5).name == "5/1s"
