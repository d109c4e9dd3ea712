"""What the backend API does with a body that is not what it should be: the same at every operation that takes one.

The operations and the fields of their bodies come from the URL map.
"""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.support.problems import fields_of, problem_of
from tests.support.routes import JSON, WITH_BODY, Field, Operation, named
from tests.support.rows import every_row, undone
from tests.support.stage import Stage, good, send

KIBIBYTE = 1024


def before(body: bytes, inserted: bytes) -> bytes:
    """Return a body with a field before its own."""
    rest = body[1:]
    return b"{" + inserted + (b"," if rest != b"}" else b"") + rest


def ignored(value: bytes) -> Callable[[bytes], bytes]:
    """Make a body hold a value in a field that is ignored: not even there may it stand."""
    return lambda body: before(body, b'"x":' + value)


SHAPES: dict[str, tuple[Callable[[bytes], bytes], int, str | None]] = {
    "null": (lambda body: b"null", 400, None),
    "a list": (lambda body: b"[]", 400, None),
    "a list around it": (lambda body: b"[" + body + b"]", 400, None),
    "a text": (lambda body: b'""', 400, None),
    "a number": (lambda body: b"7", 400, None),
    "a space": (lambda body: b" ", 400, None),
    "cut short": (lambda body: body[:-1], 400, None),
    "two objects": (lambda body: body + body, 400, None),
    "a trailing comma": (lambda body: b'{"x":1,}', 400, None),
    "a comment": (lambda body: body + b"// x", 400, None),
    "single quotes": (lambda body: b"{'x':1}", 400, None),
    "a field twice": (lambda body: before(body, b'"x":1,"x":2'), 400, "x"),
    "a field twice in two spellings": (lambda body: before(body, b'"x":1,"\\u0078":2'), 400, "x"),
    "a field twice within": (ignored(b'{"a":1,"a":2}'), 400, "a"),
    "NaN": (ignored(b"NaN"), 400, None),
    "Infinity": (ignored(b"Infinity"), 400, None),
    "-Infinity": (ignored(b"-Infinity"), 400, None),
    "1e400": (ignored(b"1e400"), 400, None),
    "-1e400": (ignored(b"-1e400"), 400, None),
    "5000 digits": (ignored(b"9" * 5000), 400, None),
    "20 digits": (ignored(b"9" * 20), 400, None),
    "a number with a leading zero": (ignored(b"01"), 400, None),
    "a number in other digits": (ignored("٣".encode()), 400, None),
    "30000 brackets": (ignored(b"[" * 30_000), 400, None),
    "30000 brackets, closed": (ignored(b"[" * 30_000 + b"]" * 30_000), 400, None),
    "5000 objects, closed": (ignored(b'{"a":' * 5_000 + b"1" + b"}" * 5_000), 400, None),
    "40 levels": (ignored(b"[" * 40 + b"]" * 40), 400, None),
    "UTF-16": (lambda body: body.decode().encode("utf-16"), 400, None),
    "UTF-16 without a mark": (lambda body: body.decode().encode("utf-16-le"), 400, None),
    "UTF-32": (lambda body: body.decode().encode("utf-32"), 400, None),
    "a byte order mark": (lambda body: b"\xef\xbb\xbf" + body, 400, None),
    "invalid UTF-8": (ignored(b'"\xff"'), 400, None),
    "a surrogate in UTF-8": (ignored(b'"\xed\xa0\x80"'), 400, None),
    "an overlong slash": (ignored(b'"\xc0\xaf"'), 400, None),
    "gzip that does not say so": (gzip.compress, 400, None),
    "NUL": (lambda body: b"\x00" + body, 400, None),
    "NUL in a text": (ignored(b'"\\u0000"'), 400, "x"),
    "NUL in a name": (lambda body: before(body, b'"a\\u0000":1'), 400, None),
    "half a surrogate pair in a text": (ignored(b'"\\ud800"'), 400, "x"),
    "half a surrogate pair in a name": (lambda body: before(body, b'"\\udfff":1'), 400, None),
    "a raw line break in a text": (ignored(b'"\n"'), 400, None),
    "100000 brackets": (ignored(b"[" * 100_000), 413, None),
    "an object of 200000 fields": (
        lambda body: b"{" + b",".join(b'"%d":1' % number for number in range(200_000)) + b"}",
        413,
        None,
    ),
    "a text of 8 MiB": (ignored(b'"' + b"x" * 8 * KIBIBYTE**2 + b'"'), 413, None),
}


@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
def test_4xx_and_no_row_changed_for_a_body_of_another_shape(
    operation: Operation, stage: Stage, subtests: pytest.Subtests
) -> None:
    client, body, rows = stage.own.backend(), json.dumps(good(operation, stage.own)).encode(), every_row()
    for name, (spoil, status, field) in SHAPES.items():
        with subtests.test(name), undone():
            answer = send(client, operation, stage.own.place, spoil(body))
            problem = problem_of(answer, operation)
            assert answer[0] == status
            assert fields_of(problem) == [field] if field else True
            assert every_row() == rows


@pytest.mark.parametrize("operation", [o for o in WITH_BODY if o.needs_body], ids=named)
def test_400_for_no_body(operation: Operation, stage: Stage) -> None:
    rows = every_row()
    assert problem_of(send(stage.own.backend(), operation, stage.own.place, b""), operation)["code"] == "invalid"
    assert every_row() == rows


MEDIA_TYPES = (
    "text/plain",
    "",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "application/json; charset=utf-7",
    "application/json; charset=utf-16",
    "application/json; charset=",
    "text/json",
    "application/xml",
    "application/jsonp",
    "application/json, text/plain",
    "application/jsonÿ",
)
ENCODINGS = ("gzip", "br", "deflate", "x-gzip", "identity, gzip", "GZIP")


@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
def test_415_and_no_row_changed_for_another_media_type(
    operation: Operation, stage: Stage, subtests: pytest.Subtests
) -> None:
    client, body, rows = stage.own.backend(), json.dumps(good(operation, stage.own)).encode(), every_row()
    others: list[dict[str, Any]] = [{"content_type": kind} for kind in MEDIA_TYPES]
    others += [{"headers": {"Content-Encoding": encoding}} for encoding in ENCODINGS]
    for request in others:
        with subtests.test(str(request)), undone():
            answer = send(client, operation, stage.own.place, body, **request)
            problem_of(answer, operation)
            assert answer[0] == 415
            assert every_row() == rows


@pytest.mark.parametrize("kind", [JSON, "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
def test_200_for_json_in_utf8(backend: Client, kind: str) -> None:
    body = b'{"app_slug":"aa_7","name":"Orbit","key_prefix":"orb_live"}'
    assert backend.generic("POST", "/api-auth/apps", body, content_type=kind).status_code == 200


OTHER_TYPES: dict[str, Any] = {
    "a text": "x",
    "a number": 7,
    "a fraction": 1.5,
    "a whole number with a point": 7.0,
    "true": True,
    "a list": [],
    "an object": {},
    "a list of lists": [[]],
    "a list of numbers": [1],
    "a list with null": [None],
    "an object in a list": [{}],
}


def takes(field: Field, value: Any) -> bool:
    """Tell whether a value is of a type that a field takes, whatever else may be wrong with it."""
    for kind in field.types:
        if kind == list[str]:
            fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
        elif getattr(kind, "__origin__", kind) in (list, dict):
            fits = isinstance(value, getattr(kind, "__origin__", kind))
        elif isinstance(kind, type) and kind in (str, int, bool):
            is_whole = kind is int and isinstance(value, float) and value.is_integer()  # JSON has one kind of number
            fits = type(value) is kind or is_whole
        else:
            fits = isinstance(value, dict)
        if fits:
            return True
    return False


@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
def test_400_that_names_the_field_of_another_type(
    operation: Operation, stage: Stage, subtests: pytest.Subtests
) -> None:
    client, rows = stage.own.backend(), every_row()
    for field in operation.fields:
        for name, value in OTHER_TYPES.items():
            if takes(field, value):
                continue
            with subtests.test(f"{field.path} is {name}"), undone():
                sent = field.within(good(operation, stage.own), value)
                answer = send(client, operation, stage.own.place, sent)
                assert answer[0] == 400
                (named_field,) = fields_of(problem_of(answer, operation))
                assert named_field.partition("[")[0] == field.path
                assert every_row() == rows


@pytest.mark.parametrize("operation", [o for o in WITH_BODY if o.needs_body], ids=named)
def test_400_that_names_the_field_that_must_be_there(
    operation: Operation, stage: Stage, subtests: pytest.Subtests
) -> None:
    client, rows = stage.own.backend(), every_row()
    for field in operation.fields:
        if not field.is_required:
            continue
        with subtests.test(field.path), undone():
            absent = {name: value for name, value in good(operation, stage.own).items() if name != field.path}
            for sent in (absent, {**absent, field.path: None}):
                answer = send(client, operation, stage.own.place, sent)
                assert fields_of(problem_of(answer, operation)) == [field.path]
            assert every_row() == rows


UNSTORABLE = {"NUL": "a\x00b", "half a surrogate pair": "a\ud800", "the other half": "\udc00a"}


def with_text(field: Field, text: str) -> tuple[Any, str] | None:
    """Return a value of a field that holds a text, and the name of the place where it stands."""
    if str in field.types:
        return text, field.path
    if list[str] in field.types:
        return [text], f"{field.path}[0]"
    if dict[str, Any] in field.types:
        return {"a": {"b": [text]}}, f"{field.path}.a.b[0]"
    return ([{"unit": text}], f"{field.path}[0].unit") if list[Any] in field.types else None


@pytest.mark.parametrize("operation", WITH_BODY, ids=named)
def test_400_that_names_the_field_with_a_text_that_cannot_be_stored(
    operation: Operation, stage: Stage, subtests: pytest.Subtests
) -> None:
    client, rows = stage.own.backend(), every_row()
    for field in operation.fields:
        for name, text in UNSTORABLE.items():
            if not (placed := with_text(field, text)):
                continue
            with subtests.test(f"{name} in {field.path}"), undone():
                value, place = placed
                sent = field.within(good(operation, stage.own), value)
                answer = send(client, operation, stage.own.place, sent)
                assert fields_of(problem_of(answer, operation)) == [place]
                assert every_row() == rows
