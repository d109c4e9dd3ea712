"""Spans of time as the portal's pages say them."""

from datetime import UTC, datetime, timedelta

import pytest

from portal import times

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "words"),
    [(1, "1 h"), (23, "23 h"), (24, "1 day"), (25, "2 days"), (47, "2 days"), (48, "2 days"), (49, "3 days")],
)
def test_what_is_left_beyond_a_day_is_rounded_up_to_whole_days(hours: int, words: str) -> None:
    assert times.left(NOON + timedelta(hours=hours), NOON) == words
