"""Texts of strangers, made fit to be shown: nothing in them moves a terminal's cursor or turns a line around."""

import re

# Control characters (C0, DEL, C1), separators of lines and paragraphs, and what changes the direction of writing.
_UNSHOWN = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]")


def fit_to_show(text: str) -> str:
    """Return the text with the replacement character in the place of each that cannot be shown."""
    return _UNSHOWN.sub("\ufffd", text)
