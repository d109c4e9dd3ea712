"""Bodies, forms and queries that nobody thought of: whatever comes, no 5xx, one error object, nothing half done.

A run tries the same examples each time; `KEYSTEAD_EXAMPLES=2000` tries that many others at each operation.
"""

import base64
import json
import os
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from apiauth.core import clock
from apiauth.services import keys
from tests.support.problems import problem_of
from tests.support.routes import FORM_FIELDS, OPERATIONS, RULE, WITH_BODY, WITH_FORM, Field, Operation, named
from tests.support.rows import Rows, every_row, undone
from tests.support.stage import Stage, good, send

ASKED = os.environ.get("KEYSTEAD_EXAMPLES")
look = settings(
    max_examples=int(ASKED or 30),
    derandomize=ASKED is None,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

STRANGE = (
    "\x00",
    "\ud800",
    "\u202e",
    "\u200b",
    "\ufffd",
    "\r\n",
    "",
    " ",
    "٣",
    "%00",
    "../..",
    "' OR 1=1 --",
    "{{7*7}}",
)
MEANT = (
    "aa_1", "own_app", "own_scheme", "foreign_app", "orb_live", "kst", "routes:read", "routes:fly", "read x", "*",
    "a AND b", "api_auth_access", "owner", "root", "dark", "de-CH", "2031-04-05T06:07:08Z", "9999-12-31T23:59:59Z",
    "10.0.0.0/8", "::/0", "::ffff:10.0.0.1", "10.0.0.0/99", "https://app.example/", "http://[", "javascript:alert(1)",
    "http://127.0.0.1:9000/x", "=HYPERLINK(1)", "<img src=x>", "1", "-1", "true", "1e3", "9" * 40, "n" * 5000,
)  # fmt: skip
texts = st.one_of(st.sampled_from(MEANT), st.sampled_from(STRANGE), st.text(max_size=30))
numbers = st.one_of(st.sampled_from([0, 1, -1, 60, 300, 301, 2**31, 2**53, 2**63 - 1, -(2**63), 2**64]), st.integers())
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.floats(), texts),
    lambda parts: st.one_of(st.lists(parts, max_size=4), st.dictionaries(texts, parts, max_size=4)),
    max_leaves=8,
)
rules = st.fixed_dictionaries(
    {},
    optional={
        "unit": st.one_of(st.sampled_from(["minute", "day", "calendar_month", "millisecond"]), anything),
        "duration": st.one_of(numbers, anything),
        "max_requests": st.one_of(numbers, anything),
        "mode": st.one_of(st.sampled_from(["per_key", "per_ip"]), anything),
        "endpoints": st.one_of(st.lists(texts, max_size=3), anything),
        "priority": st.one_of(numbers, anything),
        "id": st.one_of(texts, anything),
    },
)


def values_of(field: Field) -> SearchStrategy[Any]:
    """Return values of a field's types, and now and then anything at all."""
    by_type: dict[Any, SearchStrategy[Any]] = {
        str: texts,
        int: numbers,
        bool: st.booleans(),
        list[str]: st.lists(texts, max_size=5),
        list[Any]: st.lists(st.one_of(st.just(RULE), rules, anything), max_size=4),
        dict[str, Any]: st.dictionaries(texts, anything, max_size=4),
    }
    known = [by_type[kind] for kind in field.types if kind in by_type]
    return st.one_of(*known, *known, anything) if known else anything


def bodies_of(operation: Operation) -> SearchStrategy[Any]:
    """Return bodies with some of the fields that an operation declares, and bodies that are none."""
    fields = {field.path: values_of(field) for field in operation.fields if "." not in field.path}
    inner = {field.path.partition(".")[2]: values_of(field) for field in operation.fields if "." in field.path}
    if inner:
        fields["subject"] = st.one_of(st.fixed_dictionaries({}, optional=inner), anything)
    declared = st.fixed_dictionaries({}, optional=fields)
    return st.one_of(declared, declared, declared, anything)


def assert_whole(stage: Stage, operation: Operation, rows: Rows, sent: Any, query: str = "") -> None:
    """Send a request and take back what it did: it is done, or refused with nothing changed."""
    with undone():
        answer = send(stage.own.client(operation), operation, stage.own.place, sent, query)
        if answer[0] not in (200, 204):
            problem_of(answer, operation)
            assert every_row() == rows


@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
def test_no_body_is_a_5xx_or_half_done(operation: Operation, stage: Stage) -> None:
    fixed = operation.good_body(app=stage.own.app.slug, scheme=stage.own.scheme.slug)
    rows = every_row()

    @look
    @given(body=bodies_of(operation), is_completed=st.booleans())
    @example(body={"metadata": {"a": "\ud800"}}, is_completed=True)
    @example(body={"return_url": "http://["}, is_completed=True)
    @example(body={"default_overlap_seconds": 2**62}, is_completed=True)
    @example(body={"rules": [{**RULE, "endpoints": ["/%"]}]}, is_completed=True)
    def try_it(body: Any, is_completed: bool) -> None:
        if is_completed and isinstance(body, dict):
            body = {**fixed, **body}
        assert_whole(stage, operation, rows, json.dumps(body))

    try_it()


@pytest.mark.parametrize("operation", WITH_FORM, ids=named)
def test_no_form_is_a_5xx_or_half_done(operation: Operation, stage: Stage) -> None:
    fields = st.fixed_dictionaries({}, optional=dict.fromkeys(FORM_FIELDS[operation.name], texts))
    rows = every_row()

    @look
    @given(form=fields, rest=st.binary(max_size=20), is_completed=st.booleans())
    @example(form={"overlap_seconds": "9" * 18}, rest=b"", is_completed=True)
    def try_it(form: dict[str, str], rest: bytes, is_completed: bool) -> None:
        form = {**good(operation, stage.own), **form} if is_completed else form
        assert_whole(stage, operation, rows, urlencode(form, errors="surrogatepass").encode() + rest)

    try_it()


def twisted(text: str) -> str:
    """Return a cursor as ours look, with something else in it."""
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


cursors = st.one_of(
    texts,
    st.builds(lambda start, inner: twisted(f"{start}~{inner}"), st.one_of(numbers, texts), texts),
    st.binary(max_size=60).map(lambda data: base64.urlsafe_b64encode(data).decode()),
)
query_texts = st.one_of(
    texts,
    numbers.map(str),
    cursors,
    st.datetimes().map(str),
    st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
    st.binary(min_size=16, max_size=16).map(lambda data: f"req_{data.hex()}"),
    st.sampled_from(["true", "active", "blocked", "minute", "hour", "day", "week", "month"]),
)


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.query], ids=named)
def test_no_query_is_a_5xx_or_changes_anything(operation: Operation, stage: Stage) -> None:
    queries = st.fixed_dictionaries({}, optional=dict.fromkeys(operation.query, query_texts))
    rows, asked = every_row(), good(operation, stage.own)

    @look
    @given(query=queries, rest=st.text(max_size=20))
    def try_it(query: dict[str, str], rest: str) -> None:
        address = f"?{urlencode(query, errors='surrogatepass')}&{quote(rest, safe='=&', errors='surrogatepass')}"
        assert_whole(stage, operation, rows, asked, address)

    try_it()


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if "cursor" in o.query], ids=named)
def test_no_part_of_a_cursor_can_be_changed(operation: Operation, stage: Stage) -> None:
    client, asked = stage.own.client(operation), good(operation, stage.own)
    keys.create_key(app_id=stage.own.app.id, name="A second one", actor=stage.own.subject, now=clock.now())
    status, body = send(client, operation, stage.own.place, asked, "?limit=1")
    assert status == 200
    cursor = cursor_of(body, operation)

    @look
    @given(place=st.integers(0, len(cursor) - 1), letter=st.sampled_from("Aa0-_z!"))
    @example(place=len(cursor) - 1, letter=chr(ord(cursor[-1]) + 1))  # the bits that base64 leaves over
    def try_it(place: int, letter: str) -> None:
        if cursor[place] == letter:
            return
        changed = cursor[:place] + letter + cursor[place + 1 :]
        problem_of(send(client, operation, stage.own.place, asked, f"?cursor={changed}"), operation)

    try_it()
    assert send(client, operation, stage.own.place, asked, f"?cursor={cursor}")[0] == 200


def cursor_of(body: bytes, operation: Operation) -> str:
    page = json.loads(body)
    cursor: str = (page["data"] if operation.is_frontend else page)["next_cursor"]
    return cursor
