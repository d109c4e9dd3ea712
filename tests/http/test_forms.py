"""What the browser session API does with a form that is not what it should be: the same at every operation."""

import gzip
from typing import Any

import pytest

from tests.support.problems import fields_of, problem_of
from tests.support.routes import FORM, FORM_FIELDS, WITH_FORM, Operation, named
from tests.support.rows import every_row, undone
from tests.support.stage import Stage, good, make_ready, send

MULTIPART = "multipart/form-data; boundary=x"
LISTS = ("permissions", "resources", "allowed_cidrs")


def part(name: str, value: str, more: str = "") -> str:
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'


# What a form is, its type, and the status; each holds a good form besides, where it can be read at all.
SHAPES: dict[str, tuple[str | bytes, str, int]] = {
    "JSON": ('{"name":"a"}', "application/json", 415),
    "text": ("name=a", "text/plain", 415),
    "XML": ("<name>a</name>", "application/xml", 415),
    "no type": ("x=a", "", 415),
    "another charset": ("name=a", f"{FORM}; charset=utf-16", 415),
    "1001 fields": ("&".join(f"x{number}=1" for number in range(1001)), FORM, 400),
    "1001 parts": ("".join(part(f"x{n}", "1") for n in range(1001)) + "--x--\r\n", MULTIPART, 400),
    "more than 64 KiB": (f"x={'n' * 70_000}", FORM, 413),
    "parts of more than 64 KiB": (part("x", "n" * 70_000) + "--x--\r\n", MULTIPART, 413),
    "parts without a boundary": ("x=a", "multipart/form-data", 400),
    "a boundary of nothing": ("x=a", "multipart/form-data; boundary=", 400),
    "a boundary of 10000 characters": ("x=a", f"multipart/form-data; boundary={'b' * 10_000}", 400),
    "a file": (part("x", "a", '; filename="a.txt"') + "--x--\r\n", MULTIPART, 400),
    "bytes that are no UTF-8": ("x=%ff%fe", FORM, 400),
    "raw bytes that are no UTF-8": (b"x=\xff", FORM, 400),
    "half a surrogate pair": ("x=%ED%A0%80", FORM, 400),
    "NUL in a value": ("x=a%00b", FORM, 400),
    "NUL in a name": ("x%00=a", FORM, 400),
    "a field twice": ("x=1&x=2", FORM, 400),
    "a field twice in two spellings": ("x=1&%78=2", FORM, 400),
}


@pytest.mark.parametrize("operation", WITH_FORM, ids=named)
def test_4xx_and_no_row_changed_for_a_form_of_another_shape(
    operation: Operation, stage: Stage, subtests: pytest.Subtests
) -> None:
    page, rows = stage.own.page(), every_row()
    own = "&".join(f"{name}={value}" for name, value in good(operation, stage.own).items())
    for name, (sent, kind, status) in SHAPES.items():
        with subtests.test(name), undone():
            if kind == FORM and own:
                sent = f"{own}&{sent}" if isinstance(sent, str) else own.encode() + b"&" + sent
            answer = send(page, operation, stage.own.place, sent, content_type=kind)
            problem_of(answer, operation)
            assert answer[0] == status
            assert every_row() == rows


@pytest.mark.parametrize("operation", WITH_FORM, ids=named)
def test_415_for_a_compressed_form(operation: Operation, stage: Stage) -> None:
    page, rows = stage.own.page(), every_row()
    answer = send(page, operation, stage.own.place, gzip.compress(b"name=a"), headers={"Content-Encoding": "gzip"})
    assert problem_of(answer, operation)["code"] == "unsupported_media_type"
    assert every_row() == rows


BAD_VALUES: dict[str, dict[str, str]] = {
    "action": {"nothing": "", "another": "rotate", "upper case": "REVOKE"},
    "name": {
        "nothing": "",
        "spaces": "%20%20",
        "nothing visible": "%E2%80%8B",
        "a line break": "a%0Ab",
        "turned around": "a%E2%80%AEb",
        "101 characters": "n" * 101,
        "10000 characters": "n" * 10_000,
    },
    "note": {"a line break": "a%0Ab", "501 characters": "n" * 501},
    "reason": {"a line break": "a%0Ab", "501 characters": "n" * 501, "turned around": "%E2%80%AE"},
    "expires_at": {
        "the past": "2020-01-01T00:00:00Z",
        "the year 9999": "9999-01-01T00:00:00Z",
        "31 February": "2031-02-31T00:00:00Z",
        "milliseconds": "1924992000000",
        "no zone": "2031-02-03T00:00:00",
        "a day alone": "2031-02-03",
        "words": "tomorrow",
        "other digits": "%D9%A2%D9%A0%D9%A3%D9%A1-02-03T00:00:00Z",
    },
    "permissions": {"one that the app lacks": "routes:fly", "an expression": "routes:read%20OR%20x", "all": "*"},
    "resources": {"one that the app lacks": "/v1/fly", "two ways to read it": "/a/%2e%2e/b", "a space": "%20%09"},
    "allowed_cidrs": {"no address": "x", "too long a prefix": "10.0.0.0/99", "a host name": "localhost"},
    "limits": {
        "words": "none",
        "an object": "%7B%7D",
        "no JSON": "%5B",
        "a field twice": '[{"unit":"day","unit":"day","duration":1,"max_requests":1}]',
        "not a number": '[{"unit":"day","duration":NaN,"max_requests":1}]',
        "a text with NUL": '["%5Cu0000"]',
        "too deep": "[" * 40 + "]" * 40,
        "far too deep": "[" * 30_000,
        "no window": '[{"unit":"day","max_requests":1}]',
        "more than the app allows": '[{"unit":"minute","duration":1,"max_requests":1001}]',
        "6 of them": f"[{', '.join(6 * [chr(123) + '%22unit%22:%22day%22}'])}]",
    },
    "overlap_ends_at": {"the past": "2020-01-01T00:00:00Z", "31 February": "2031-02-31T00:00:00Z", "words": "tomorrow"},
    "overlap_seconds": {
        "below zero": "-1",
        "more than 30 days": "2592001",
        "ages": "9" * 18,
        "an exponent": "1e3",
        "more digits than a number has": "9" * 40,
        "part of a second": "1.5",
        "words": "soon",
        "other digits": "%D9%A3",
    },
}
UNSTORABLE = {"NUL": "a%00b", "no UTF-8": "a%ff", "half a surrogate pair": "%ED%A0%80"}


@pytest.mark.parametrize("operation", WITH_FORM, ids=named)
def test_400_that_names_the_field_that_cannot_be_used(
    operation: Operation, stage: Stage, subtests: pytest.Subtests
) -> None:
    make_ready(operation, stage.own)
    page, rows = stage.own.page(), every_row()
    for field in FORM_FIELDS[operation.name]:
        assert field in BAD_VALUES, f"say in BAD_VALUES of {__name__} what is bad in the field {field}"
        for name, value in {**BAD_VALUES[field], **UNSTORABLE}.items():
            with subtests.test(f"{field}: {name}"), undone():
                form = {**good(operation, stage.own), field: value}
                answer = send(page, operation, stage.own.place, form)
                assert answer[0] == 400
                (refused,) = fields_of(problem_of(answer, operation))
                assert refused.partition("[")[0] == field
                assert every_row() == rows


@pytest.mark.parametrize("operation", WITH_FORM, ids=named)
def test_400_that_names_the_field_that_stands_twice(
    operation: Operation, stage: Stage, subtests: pytest.Subtests
) -> None:
    page, rows = stage.own.page(), every_row()
    for field in FORM_FIELDS[operation.name]:
        if field in LISTS:
            continue
        with subtests.test(field), undone():
            answer = send(page, operation, stage.own.place, f"{field}=a&{field}=b")
            assert fields_of(problem_of(answer, operation)) == [field]
    assert every_row() == rows


def test_400_for_a_name_in_the_address_alone(stage: Stage) -> None:
    (create,) = [operation for operation in WITH_FORM if operation.path == "/api-auth/keys"]
    rows = every_row()
    answer = send(stage.own.page(), create, stage.own.place, "", query="?name=a")
    assert fields_of(problem_of(answer, create)) == ["name"]
    assert every_row() == rows


@pytest.mark.parametrize("kind", [FORM, f"{FORM}; charset=utf-8", MULTIPART])
def test_200_for_a_form_of_either_kind(stage: Stage, kind: str) -> None:
    (create,) = [operation for operation in WITH_FORM if operation.path == "/api-auth/keys"]
    sent: Any = part("name", "Schlüssel") + "--x--\r\n" if kind == MULTIPART else "name=Schl%C3%BCssel"
    status, body = send(stage.own.page(), create, stage.own.place, sent, content_type=kind)
    assert (status, "Schl\\u00fcssel" in body.decode()) == (200, True)
