"""What the bench makes of its repeats, and how its load generator knows the end of an answer."""

import pytest

from bench.load import is_whole
from bench.report import ratios, row

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (HEAD + b"content-length: 4\r\n\r\nabcd", True),
        (HEAD + b"Content-Length: 0\r\n\r\n", True),
        (HEAD + b"content-length: 4\r\n\r\nabc", False),
        (HEAD + b"content-length: 4\r\n", False),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n", False),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", True),
        (HEAD, False),
    ],
    ids=["length", "nothing", "short of its length", "half a head", "a chunk", "the last chunk", "no length"],
)
def test_an_answer_is_whole_at_its_length_or_its_last_chunk(data: bytes, whole: bool) -> None:
    assert is_whole(data) is whole


def test_a_row_is_the_median_of_its_repeats_with_their_least_and_most() -> None:
    found = row("P4 something", [30.0, 10.0, 20.0], at_least=25, sane=5)

    assert (found.number, found.figure, found.low, found.high) == ("P4", 20.0, 10.0, 30.0)
    assert (found.target, found.met, found.sane) == (">= 25", False, True)


def test_a_row_without_a_bound_has_no_verdict() -> None:
    found = row("something", 3)

    assert (found.number, found.target, found.met, found.low) == ("", "", None, None)


@pytest.mark.parametrize(("most", "met"), [(2, True), (1.9, False)])
def test_a_bound_from_above_is_met_up_to_itself(most: float, met: bool) -> None:
    assert row("something", [2.0], at_most=most).met is met


def test_a_ratio_is_taken_within_its_round() -> None:
    assert ratios([20.0, 60.0], [2.0, 3.0]) == [10.0, 20.0]
