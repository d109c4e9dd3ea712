"""What short texts come to is worked out once, as long as there is room; what strangers make up takes none."""

import pytest

from apiauth.core.errors import Invalid
from apiauth.core.short_texts import LONGEST_CACHED, cached_if_short

MOST = 3


@pytest.fixture
def worked():
    return []


@pytest.fixture
def upper(worked):
    @cached_if_short(MOST)
    def upper(text):
        worked.append(text)
        if not text:
            raise Invalid("There is nothing.")
        return text.upper()

    return upper


def test_a_short_text_is_worked_out_once(upper, worked):
    assert [upper("a"), upper("b"), upper("a")] == ["A", "B", "A"]
    assert worked == ["a", "b"]


def test_a_long_text_is_worked_out_each_time(upper, worked):
    longest, longer = "a" * LONGEST_CACHED, "b" * (LONGEST_CACHED + 1)
    for _ in range(2):
        assert (upper(longest), upper(longer)) == (longest.upper(), longer.upper())
    assert worked == [longest, longer, longer]


def test_no_more_are_kept_than_there_is_room_for(upper, worked):
    for text in "abcd":
        upper(text)
    assert upper("a") == "A"
    assert worked == ["a", "b", "c", "d", "a"]


def test_what_is_refused_is_refused_each_time(upper, worked):
    for _ in range(2):
        with pytest.raises(Invalid):
            upper("")
    assert worked == ["", ""]
