"""What a change would break, shown before it is made: a key's own calls, decided once more."""

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from apiauth.audit.calls import recent_calls
from apiauth.core.decision import Rule
from apiauth.core.limits import LimitRule, Mode, Unit
from apiauth.models import Key
from apiauth.services import impact
from apiauth.verify.addresses import parse_networks
from apiauth.verify.replay import Count, Proposal, replay
from tests.support.database import dsn
from tests.support.decisions import decision, put_on_record

NOW = datetime(2026, 11, 23, 14, 20, tzinfo=UTC)
KEY = Key(id=22, app_id=11)
REVOKED = Proposal(revoked=True)


def on_record(*calls: dict[str, Any]) -> None:
    put_on_record([decision(NOW - timedelta(minutes=index + 1), **call) for index, call in enumerate(calls)])


def preview(proposal: Proposal, now: datetime = NOW) -> impact.Preview:
    found = impact.preview(key=KEY, proposal=proposal, now=now)
    assert found is not None
    return found


@pytest.mark.django_db
def test_a_revoke_would_block_every_call_that_was_allowed() -> None:
    on_record({}, {"path": "/v1/b", "client_ip": "203.0.113.10"}, {"rule": "key_disabled"}, {"key_id": 23})
    found = preview(REVOKED).impact
    assert (found.calls, found.blocked) == (2, 2)
    assert found.rules == (Count("key_revoked", 2),)
    assert {each.name for each in found.addresses} == {"203.0.113.9", "203.0.113.10"}
    assert {each.name for each in found.paths} == {"GET /v1/a", "GET /v1/b"}


@pytest.mark.django_db
def test_narrower_addresses_block_the_calls_from_elsewhere() -> None:
    on_record({"client_ip": "203.0.113.9"}, {"client_ip": "2001:db8::1"}, {"client_ip": "198.51.100.7"})
    narrow = Proposal(networks=parse_networks(["203.0.113.0/24", "2001:db8::/32"]))
    assert preview(narrow).impact.addresses == (Count("198.51.100.7", 1),)


@pytest.mark.django_db
def test_no_addresses_at_all_mean_that_calls_may_come_from_anywhere() -> None:
    on_record({})
    assert preview(Proposal(networks=())).impact.blocked == 0


@pytest.mark.django_db
def test_fewer_permissions_block_the_calls_that_needed_more() -> None:
    asks = ["a:read", "a:read OR a:write", "a:read, a:write", None]
    on_record(*({"required_permissions": [each] if each else []} for each in asks))
    found = preview(Proposal(permissions=frozenset({"a:read"}))).impact
    assert (found.blocked, found.rules) == (1, (Count("permission_denied", 1),))


@pytest.mark.django_db
def test_a_lower_limit_blocks_what_is_beyond_it_in_each_window() -> None:
    rows = [decision(NOW - timedelta(seconds=second)) for second in (1, 2, 3, 61, 62, 121)]
    put_on_record(rows)
    lower = LimitRule(id="l", unit=Unit.MINUTE, duration=1, max_requests=1, mode=Mode.PER_KEY)
    assert preview(Proposal(limits=(lower,))).impact.rules == (Count("rate_limited", 3),)


@pytest.mark.django_db
def test_the_window_is_seven_days_and_is_told() -> None:
    put_on_record([decision(NOW - timedelta(days=8)), decision(NOW - timedelta(days=6))])
    found = preview(REVOKED)
    assert (found.start, found.end, found.impact.calls) == (NOW - timedelta(days=7), NOW, 1)
    assert found.last_at == NOW - timedelta(days=6)


@pytest.mark.django_db
def test_a_busy_key_is_looked_at_as_far_back_as_so_many_calls_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(impact, "MOST_CALLS", 2)
    on_record({}, {}, {})
    found = preview(REVOKED)
    assert (found.impact.calls, found.start) == (2, NOW - timedelta(minutes=2))


@pytest.mark.django_db
def test_the_calls_of_keys_that_end_together_are_looked_at_in_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(impact, "MOST_CALLS", 3)
    on_record({"path": "/new"}, {"key_id": 23, "path": "/old"}, {"key_id": 24}, {}, {"key_id": 23})
    found = impact.preview(key=KEY, others=[Key(id=23, app_id=11)], proposal=REVOKED, now=NOW)
    assert found is not None
    assert (found.impact.blocked, found.start) == (3, NOW - timedelta(minutes=4))
    assert set(found.impact.paths) == {Count("GET /new", 1), Count("GET /old", 1), Count("GET /v1/a", 1)}


@pytest.mark.django_db
def test_where_a_week_takes_too_long_less_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    read = impact.recent_calls

    def slow(**values: Any) -> Any:
        return read(**values) if values["end"] - values["start"] <= timedelta(hours=1) else None

    monkeypatch.setattr(impact, "recent_calls", slow)
    on_record({})
    assert preview(REVOKED).start == NOW - timedelta(hours=1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("within", [nullcontext, transaction.atomic], ids=["alone", "in a transaction"])
def test_calls_that_take_too_long_to_read_are_given_up_and_nothing_else_is(within: Callable[[], Any]) -> None:
    window = {"app_id": KEY.app_id, "key_ids": [KEY.pk], "start": NOW - timedelta(days=7), "end": NOW, "most": 10}
    with within():
        with psycopg.connect(dsn()) as other:
            other.execute("LOCK TABLE apiauth_decision IN ACCESS EXCLUSIVE MODE")
            assert recent_calls(**window, longest_ms=50) is None
        assert recent_calls(**window, longest_ms=5000) == []
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            assert cursor.fetchone() == ("5s",)


@pytest.mark.django_db
def test_a_key_that_nobody_used_would_break_nothing() -> None:
    found = preview(REVOKED).impact
    assert (found.calls, found.blocked, found.last_ms, found.addresses) == (0, 0, None, ())


@settings(deadline=None)
@given(
    moments=st.lists(st.integers(0, 300_000), max_size=60),
    most=st.integers(1, 8),
    addresses=st.sampled_from([("192.0.2.1",), ("192.0.2.1", "192.0.2.2")]),
    mode=st.sampled_from(Mode),
)
def test_a_replayed_limit_admits_as_many_in_each_window_as_it_says(
    moments: list[int], most: int, addresses: tuple[str, ...], mode: Mode
) -> None:
    limit = LimitRule(id="l", unit=Unit.MINUTE, duration=1, max_requests=most, mode=mode)
    newest = sorted(moments, reverse=True)
    calls = [(moment, addresses[moment % len(addresses)], "GET", "/", "[]") for moment in newest]
    per_ip = mode not in (Mode.PER_APP, Mode.PER_KEY)
    asked = Counter((moment // 60_000, address if per_ip else "") for moment, address, *_ in calls)
    beyond = sum(max(0, count - most) for count in asked.values())
    assert replay(calls, Proposal(limits=(limit,))).blocked == beyond


def test_the_rules_keep_their_order() -> None:
    calls = [(1, "192.0.2.1", "GET", "/", '["a"]')]
    all_at_once = Proposal(
        revoked=True, disabled=True, permissions=frozenset(), networks=parse_networks(["198.51.100.0/24"])
    )
    assert replay(calls, all_at_once).rules == (Count(Rule.KEY_REVOKED, 1),)
