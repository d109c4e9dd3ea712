"""A cell of an export is text, whatever a spreadsheet would like to make of it."""

import csv
from datetime import UTC, datetime, timedelta, timezone

import pytest

from apiauth.core import spreadsheet


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_what_opens_a_formula_gets_an_apostrophe(start: str) -> None:
    [cells] = csv.reader([spreadsheet.line([f"{start}1+1", f"1{start}"])])
    assert cells == [f"'{start}1+1", f"1{start}"]


def test_commas_quotes_and_line_ends_stay_within_their_cell() -> None:
    text = 'a,"b"\nc'
    assert next(csv.reader([spreadsheet.line([text, "next"])])) == [text, "next"]


def test_moments_are_in_utc_lists_are_words_and_nothing_is_empty() -> None:
    moment = datetime(2026, 11, 24, 13, 30, tzinfo=timezone(timedelta(hours=1)))
    assert spreadsheet.line([moment, ["a", "b"], None, 7]) == "2026-11-24T12:30:00.000Z,a b,,7\r\n"
    assert spreadsheet.line([datetime(2026, 1, 1, tzinfo=UTC)]) == "2026-01-01T00:00:00.000Z\r\n"
