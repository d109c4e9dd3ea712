"""One path, one spelling: whatever might be read in two ways is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiauth.core.errors import Invalid
from apiauth.core.resource import is_opened, normal_form, roots_of


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ("/v1/a", "/v1/a"),
        ("v1/a", "/v1/a"),
        ("/v1/a?x=1&y=/../b", "/v1/a"),
        ("/v1/a#top", "/v1/a"),
        ("/v1/%61", "/v1/a"),
        ("/v1/caf%C3%A9", "/v1/café"),
        ("/", "/"),
        ("/a/", "/a/"),
        ("/a..b/...", "/a..b/..."),
        ("/50%25", "/50%"),
    ],
)
def test_a_resource_has_one_normal_form(resource, path):
    assert normal_form(resource) == path


@pytest.mark.parametrize(
    "resource",
    ["", "?", "#x", "//evil", "/a//b", "/a/../admin", "/..", "/./a", "/%2e%2e/admin", "/a/%2E%2E", "/a%2fb", "/a%2Fb",
     "/a%5cb", "\\\\a", "/a\\b", "/a%00", "/a\0b", "/a%0d%0aX:y", "/%zz", "/%", "/%e", "/%ff", "/%252e%252e/admin",
     "/%c0%ae%c0%ae/", "https://evil/a", "/" + "a" * 4096, "/\x7f", "/%c2%85"],
)  # fmt: skip
def test_what_could_mean_two_paths_is_refused(resource):
    with pytest.raises(Invalid) as refusal:
        normal_form(resource)
    assert refusal.value.field == "resource"


@given(st.text(max_size=40))
def test_a_normal_form_never_holds_a_way_out(resource):
    try:
        path = normal_form(resource)
    except Invalid:
        return
    assert path.startswith("/")
    assert "//" not in path
    assert not {"..", "."} & set(path.split("/"))
    assert "\\" not in path
    assert "\0" not in path


SEGMENTS = st.lists(st.text("ab*.%", min_size=1, max_size=3).filter(lambda each: each not in {".", ".."}), max_size=4)


@given(SEGMENTS, st.lists(SEGMENTS, max_size=3))
def test_a_path_is_within_what_its_segments_begin_with(path, resources):
    roots = tuple(f"/{'/'.join(each)}/".replace("//", "/") for each in resources)
    expected = any(path[: len(each)] == each for each in resources)
    assert is_opened(f"/{'/'.join(path)}", roots) == expected


@pytest.mark.parametrize("resource", ["/a/../b", "//a", "a\\b", "/a%2fb", "?x", ""])
def test_a_resource_that_could_be_read_in_two_ways_has_no_root(resource):
    with pytest.raises(Invalid):
        roots_of([resource])


def test_every_spelling_of_a_resource_has_one_root():
    assert set(roots_of(["/v1/a", "v1/a", "/v1/a/", "/v1/%61", "/v1/a?x=1"])) == {"/v1/a/"}
    assert roots_of(["/"]) == ("/",)
