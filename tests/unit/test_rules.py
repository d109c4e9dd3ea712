"""The table of rules: its order, each rule by itself, and the shortcut that must agree with it."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiauth.core.decision import Rule
from apiauth.core.policy import MANUAL, RotationMode, RotationPolicy, WhenOverdue
from apiauth.verify.entries import App, Key
from apiauth.verify.prepared import prepare, state_facts
from apiauth.verify.rules import RULES, Facts, decide

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
DAILY = RotationPolicy(mode=RotationMode.REQUIRED, every_days=1, when_overdue=WhenOverdue.BLOCK)
BLOCKING = {
    Rule.KEY_MALFORMED: {"well_formed": False},
    Rule.KEY_BAD_CHECKSUM: {"checksum_matches": False},
    Rule.KEY_UNKNOWN: {"known": False},
    Rule.APP_DISABLED: {"app_is_open": False},
    Rule.KEY_REVOKED: {"revoked": True},
    Rule.KEY_DISABLED: {"disabled": True},
    Rule.KEY_ROTATED_OUT: {"overlap_ends_ms": NOW_MS},
    Rule.KEY_EXPIRED: {"expires_ms": NOW_MS},
    Rule.ROTATION_OVERDUE: {"rotation_due_ms": NOW_MS},
    Rule.IP_NOT_ALLOWED: {"ip_allowed": False},
    Rule.RESOURCE_NOT_ALLOWED: {"resource_allowed": False},
    Rule.PERMISSION_DENIED: {"permitted": False},
    Rule.RATE_LIMITED: {"limit_reached": True},
}


def test_the_table_has_every_rule_in_the_order_of_the_closed_list():
    assert [rule for rule, _ in RULES] == list(Rule)


def test_nothing_blocks_a_sound_key():
    assert decide(Facts(now_ms=NOW_MS)) is None


@pytest.mark.parametrize("rule", list(Rule), ids=str)
def test_each_rule_blocks_by_itself(rule):
    assert decide(Facts(now_ms=NOW_MS, **BLOCKING[rule])) is rule


@pytest.mark.parametrize("rule", list(Rule), ids=str)
def test_a_rule_wins_over_all_that_come_after_it(rule):
    later = list(Rule)[list(Rule).index(rule) :]
    everything = {name: value for each in later for name, value in BLOCKING[each].items()}
    assert decide(Facts(now_ms=NOW_MS, **everything)) is rule


@pytest.mark.parametrize("field", ["overlap_ends_ms", "expires_ms", "rotation_due_ms"])
def test_a_moment_blocks_from_itself_on_and_not_before(field):
    assert decide(Facts(now_ms=NOW_MS, **{field: NOW_MS + 1})) is None
    assert decide(Facts(now_ms=NOW_MS, **{field: NOW_MS})) is not None


def test_every_fact_is_used_by_a_rule():
    used = {name for facts in BLOCKING.values() for name in facts}
    assert used == {field.name for field in fields(Facts)} - {"now_ms"}


moments = st.none() | st.integers(NOW_MS - 2, NOW_MS + 2)


@given(st.booleans(), st.booleans(), st.booleans(), st.booleans(), moments, moments, moments)
def test_the_moment_until_which_a_key_is_sound_says_what_the_table_says(
    active, deleted, revoked, disabled, overlap, expires, due
):
    app = App(1, 1, "a", "a_b", active, deleted, None, None, None, None, 1, MANUAL if due is None else DAILY)
    created = NOW_MS if due is None else due - DAY_MS
    key = Key(1, 1, 1, "n", b"", (), "{}", (), expires, revoked, disabled, overlap, created, 1)
    is_sound = prepare(key, app).sound_until_ms > NOW_MS
    assert is_sound == (decide(state_facts(key, app, NOW_MS)) is None)
