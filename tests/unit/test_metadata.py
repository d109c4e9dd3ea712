"""Metadata that a client could take for a fact about the caller never gets in."""

import pytest

from apiauth.core.errors import Invalid
from apiauth.core.metadata import RESERVED, check_metadata, without_reserved


@pytest.mark.parametrize("value", [{}, {"team": "blue"}, {"a": [1, 2.5, None, True, {"b": {}}]}, {"x": 'a,b="c"'}])
def test_plain_metadata_passes(value):
    check_metadata(value)


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_reserved_name_is_refused_at_any_depth_and_dropped_from_answers(name):
    for value in ({name: "x"}, {"a": {name: 1}}):
        with pytest.raises(Invalid):
            check_metadata(value)
    assert without_reserved({name: 1, "team": "blue"}) == {"team": "blue"}


@pytest.mark.parametrize(
    "value",
    [None, [], "x", 5, {"a": "x\r\ny"}, {"a": "\0"}, {"a\n": 1}, {"": 1}, {"a": "\ud800"}, {"a": 2**53},
     {"a": object()}, {"a": float("nan")}, {"a": float("inf")}, {"a": "x" * 8200}, {"a": {"b": {"c": {"d": {}}}}},
     {"a" * 101: 1}],
)  # fmt: skip
def test_other_metadata_is_refused(value):
    with pytest.raises(Invalid):
        check_metadata(value)
