"""What strangers wrote is shown without what would move a cursor or turn a line around."""

import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st

from apiauth.core.shown import fit_to_show

TURNING = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")


def is_fit(character: str) -> bool:
    is_control = unicodedata.category(character) in ("Cc", "Zl", "Zp")
    return not is_control and unicodedata.bidirectional(character) not in TURNING


@given(st.text())
@example("\x00\x1b[2K\x7f\x85\x9f")
@example("\u202agnp.exe\u202e\u2066\u2069\u2028\u2029")
@example("plain, über, עברית, 😀")
def test_each_character_that_cannot_be_shown_is_replaced_and_every_other_stays(text: str) -> None:
    assert fit_to_show(text) == "".join(each if is_fit(each) else "\ufffd" for each in text)
