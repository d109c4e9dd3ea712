"""Ids sort by time, fit the clients' digits, and carry their moment."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiauth.core import ids


def test_row_ids_fit_a_signed_bigint_and_grow_with_time() -> None:
    first = ids.new_id()
    assert 0 < first <= ids.LARGEST_ID
    assert first >> ids.RANDOM_BITS <= ids.new_id() >> ids.RANDOM_BITS


@given(moment=st.integers(0, ids.LAST_MS - 1))
def test_a_decision_id_is_a_uuid7_that_carries_its_moment(moment: int) -> None:
    decision = ids.new_decision_id(moment)
    assert (decision.version, decision.variant) == (7, uuid.RFC_4122)
    assert ids.decision_time_ms(decision) == moment
    assert ids.parse_request_id(ids.request_id(decision)) == decision


@given(moment=st.integers(ids.LAST_MS, (1 << 48) - 1))
def test_an_id_of_the_year_5000_is_none_of_ours(moment: int) -> None:
    assert ids.parse_request_id(ids.request_id(ids.new_decision_id(moment))) is None


@pytest.mark.parametrize("text", ["", "req_", "req_" + "0" * 31, "req_" + "G" * 32, "req_" + "0" * 32 + "\n", "0" * 36])
def test_what_is_no_request_id_is_none(text: str) -> None:
    assert ids.parse_request_id(text) is None


@pytest.mark.parametrize("text", ["", "-1", "1.0", "٣", " 1", "1e3", "9" * 19, "9" * 5000])
def test_what_is_no_row_id_is_none(text: str) -> None:
    assert ids.parse_id(text) is None
