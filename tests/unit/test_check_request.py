"""The body of a check is read as every other reader would read it, or refused; nothing else happens."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from apiauth.core.errors import Invalid, TooLarge
from apiauth.http.check_request import METHODS, parse_batch, parse_body, parse_resource
from tests.support.bad_inputs import BODIES, FIELDS, GOOD, PAIRS, TEXT, written


def read_or_refused(data):
    """Return the body, or None where it is refused; any other end is a failure."""
    try:
        return parse_body(data)
    except Invalid:
        return None


def means_the_same(body, data):
    told = json.loads(data)
    assert set(told) <= set(FIELDS)
    assert (body.principal.type, body.principal.value) == (told["principal"]["type"], told["principal"]["value"])
    assert body.method == told["method"].upper()
    assert body.method in METHODS
    for name in ("resource", "client_ip", "user_agent", "required_permissions"):
        assert getattr(body, name) == told.get(name)
        assert "\0" not in str(getattr(body, name))


@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf{}")
@example(b"[" * 5000)
def test_any_bytes_are_read_or_refused(data):
    assert read_or_refused(data) is None
    with pytest.raises((Invalid, TooLarge)):
        parse_batch(data)


@given(st.sampled_from(list(BODIES.values())), st.integers(0, 400), st.integers(0, 255))
def test_any_damage_is_read_or_refused(data, place, byte):
    good = json.dumps(GOOD).encode()
    for text in (data, good):
        damaged = text[:place] + bytes([byte]) + text[place + 1 :]
        body = read_or_refused(damaged)
        if body is not None:
            means_the_same(body, damaged)


@given(PAIRS, st.booleans())
@settings(max_examples=300)
def test_any_structure_is_read_as_another_reader_would_or_refused(pairs, is_ascii):
    data = written(pairs, is_ascii)
    body = read_or_refused(data)
    if body is not None:
        means_the_same(body, data)
        assert len({name for name, _ in pairs}) == len(pairs), "a field that stands twice has no one meaning"


@given(st.fixed_dictionaries(FIELDS), st.booleans(), st.data())
@settings(max_examples=300)
def test_a_field_that_stands_twice_is_refused_however_it_is_written(fields, is_ascii, data):
    pairs = list(fields.items())
    name, _ = data.draw(st.sampled_from(pairs))
    pairs.insert(data.draw(st.integers(0, len(pairs))), (name, data.draw(FIELDS[name])))
    text = written(pairs, is_ascii)
    escaped = text.replace(f'"{name}"'.encode(), f'"\\u{ord(name[0]):04x}{name[1:]}"'.encode(), 1)
    assert read_or_refused(text) is None
    assert read_or_refused(escaped) is None


@given(st.lists(PAIRS, max_size=4), st.booleans())
def test_a_batch_holds_its_checks_as_they_were_sent(checks, is_ascii):
    bodies = [written(pairs, is_ascii) for pairs in checks]
    data = b'{"checks":[' + b" , ".join(bodies) + b"]}"
    try:
        found = parse_batch(data)
    except Invalid:
        return
    assert found == bodies


@given(TEXT)
def test_any_resource_has_one_normal_form_or_is_refused(text):
    try:
        path, logged = parse_resource(text)
    except Invalid:
        return
    assert path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/")[1:-1])
    assert parse_resource(path.replace("%", "%25").replace("?", "%3F").replace("#", "%23"))[0] == path
    assert len(logged) <= 500
