"""Permission names, and the expressions in which a check says what it needs."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiauth.core.errors import Invalid
from apiauth.core.permissions import check_permission, check_permissions, dropped_permissions, requirement

NAMES = ["a", "b:c", "read:x", "v1/orders.list", "x-y_z"]


@pytest.mark.parametrize(
    ("expression", "held", "suffices"),
    [
        ("a", {"a"}, True),
        ("a", set(), False),
        ("a AND b", {"a"}, False),
        ("a AND b", {"a", "b"}, True),
        ("a, b", {"a"}, False),
        ("a,b", {"a", "b"}, True),
        ("a OR b", {"b"}, True),
        ("a OR b AND c", {"a"}, True),
        ("(a OR b) AND c", {"a"}, False),
        ("(a OR b) AND c", {"b", "c"}, True),
        ("a AND (b OR (c AND d))", {"a", "c", "d"}, True),
        (" ( a ) ", {"a"}, True),
        ("true", set(), False),
    ],
)
def test_an_expression_means_what_it_says(expression, held, suffices):
    assert requirement(expression)(held) is suffices


@pytest.mark.parametrize(
    "expression",
    ["", " ", "*", "a b", "a AND", "AND a", "OR", "a OR OR b", "(a", "a)", "()", "a,", ",a", "A", "a and B", "a;b",
     "a\0", "é", "a" * 101, "a AND " * 300 + "a", "(" * 11 + "a" + ")" * 11, "a\n AND $"],
)  # fmt: skip
def test_what_is_no_expression_is_refused(expression):
    with pytest.raises(Invalid):
        requirement(expression)


def expressions():
    names = st.sampled_from(NAMES).map(lambda name: (name, lambda held: name in held))

    def join(parts):
        return st.tuples(parts, st.sampled_from([" AND ", ",", " OR "]), parts).map(_joined)

    return st.recursive(names, join, max_leaves=8)


def _joined(parts):
    (left, left_means), operator, (right, right_means) = parts
    if operator == " OR ":
        return f"({left}{operator}{right})", lambda held: left_means(held) or right_means(held)
    return f"({left}{operator}{right})", lambda held: left_means(held) and right_means(held)


@given(expressions(), st.sets(st.sampled_from(NAMES)))
def test_a_built_expression_is_read_as_it_was_built(expression, held):
    text, means = expression
    assert requirement(text)(frozenset(held)) == means(held)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text):
    with suppress(Invalid):
        requirement(text)(frozenset())


@pytest.mark.parametrize("name", ["A", "a b", "", "*", "a" * 101, "a\n", "é", 5, None, "-a"])
def test_what_is_no_permission_is_refused(name):
    with pytest.raises(Invalid):
        check_permission(name)


def test_permissions_come_back_sorted_and_once():
    assert check_permissions(["b", "a", "b"]) == ["a", "b"]


def test_too_many_permissions_are_refused():
    with pytest.raises(Invalid):
        check_permissions(f"p{number}" for number in range(1001))


@pytest.mark.parametrize(
    ("catalogue", "dropped"), [(["a", "b"], []), (["a"], ["b"]), (["c"], ["a", "b"]), ([], [])], ids=str
)
def test_what_an_app_no_longer_names_is_dropped_unless_it_names_none_and_takes_any(catalogue, dropped):
    assert dropped_permissions(["a", "b"], catalogue) == dropped
