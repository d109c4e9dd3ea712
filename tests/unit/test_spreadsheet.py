"""A cell of an export is text, whatever a spreadsheet would like to make of it."""

import csv
import io
import unicodedata
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiauth.core import spreadsheet


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_what_opens_a_formula_gets_an_apostrophe(start: str) -> None:
    [cells] = csv.reader([spreadsheet.line([f"{start}1+1", f"1{start}"])])
    assert cells == [f"'{start}1+1", f"1{start}"]


@pytest.mark.parametrize("before", ['"', "'", " ", "' \"", "\n", "\r\n", "\t "])
def test_what_some_spreadsheets_leave_out_hides_no_formula(before: str) -> None:
    [cells] = csv.reader([spreadsheet.line([f"{before}=1+1", f"{before}1"])])
    assert cells[0] == f"'{before}=1+1"


STARTS = st.text(" '\"\n\r\t=+-@\uff1d\uff0b\uff0d\uff20a1", max_size=6)


@given(STARTS | st.text(), st.text())
def test_no_cell_begins_with_a_formula_once_quotes_and_spaces_are_left_out_and_nothing_is_lost(
    start: str, rest: str
) -> None:
    text = start + rest
    [[cell]] = csv.reader(io.StringIO(spreadsheet.line([text]), newline="")) if text else [[""]]
    assert cell in (text, f"'{text}")
    bare = unicodedata.normalize("NFKC", text.strip(" '\"\r\n\t"))
    assert cell != text or not bare.startswith(("=", "+", "-", "@"))


def test_commas_quotes_and_line_ends_stay_within_their_cell() -> None:
    text = 'a,"b"\nc'
    assert next(csv.reader([spreadsheet.line([text, "next"])])) == [text, "next"]


def test_moments_are_in_utc_lists_are_words_and_nothing_is_empty() -> None:
    moment = datetime(2026, 11, 24, 13, 30, tzinfo=timezone(timedelta(hours=1)))
    assert spreadsheet.line([moment, ["a", "b"], None, 7]) == "2026-11-24T12:30:00.000Z,a b,,7\r\n"
    assert spreadsheet.line([datetime(2026, 1, 1, tzinfo=UTC)]) == "2026-01-01T00:00:00.000Z\r\n"
