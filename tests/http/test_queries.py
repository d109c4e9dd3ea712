"""What the JSON doors do with an address or a query that is not what it should be, at every operation.

The operations and their query parameters come from the URL map.
"""

import json
from urllib.parse import quote

import pytest
from django.test import Client

from apiauth.http.errors import is_json_path
from tests.support import routes
from tests.support.problems import fields_of, problem_of
from tests.support.routes import BACKEND, OPERATIONS, SESSION, Operation, named
from tests.support.rows import every_row
from tests.support.stage import Stage, good, send

NUMBERS = ["x", "1.5", "1e3", "0x10", "--1", "1 2", "[1]", "٣", "１", "9" * 101, "1 OR 1=1", "null", "true", "1\n"]
# Per kind of parameter: what is refused, and what is taken (a number that is out of range is clamped).
BAD = {
    "number": NUMBERS,
    "flag": ["maybe", "[true]", "2", "yes", "null", "truе", "true false", "-1"],
    "moment": [
        "1",
        "1700000000",
        "1700000000000",
        "tomorrow",
        "99999-01-01",
        "0001-01-01",
        "9999-12-31",
        "2026-02-31",
        "2026-02-02T25:00:00Z",
        "2026-02-02T00:00:00+99:00",
        "2026-02-02T00:00:00../../etc",
        "٢٠٢٦-02-02",
        "2026-02-02\n",
        "' OR 1=1 --",
        "-1",
    ],
    "cursor": [
        "junk",
        "a" * 10_000,
        "' OR 1=1 --",
        "MTIzfg",
        "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5fmE",
        "LTF-YQ",
        "====",
        "é",
        "MTYwMDAwMDAwMDAwMDAwMH5bXQ",
    ],
    "key": ["abc", "-1", "1.5", "1e3", "9" * 20, "9223372036854775808", "٣", "[1]", " OR ".join(["1=1"] * 1000)],
    "choice": ["odd", "[]", "ACTIVE ", "all,active", "null"],
    "address": ["999.1.1.1", "127.0.0.1:80", "fe80::1%eth0", "10.0.0.0/8", "localhost", "' OR 1=1 --", "٣.1.1.1"],
    "method": ["BREW", "GET\r\nX: y", "GET,POST", "' OR 1=1 --"],
    "path": ["v1", "a" * 501, "/" + "a" * 5000],
    "request": ["81", "req_81", "req_" + "f" * 32, "req_" + "G" * 32, "' OR 1=1 --"],
    "rule": ["odd", "KEY_REVOKED", "key_revoked,key_expired", "' OR 1=1 --"],
    "zone": ["../../etc", "../../etc/passwd", "/etc/localtime", "Nowhere/City", "' OR 1=1 --", "x" * 5000],
    "decision": [],
    "beside cursor_id": [],
    "word": [],
    "text": [],
}
TAKEN = {
    "number": ["0", "-1", "1000000000", "-1000000000", "9" * 30, "-" + "9" * 30, "007", ""],
    "flag": ["true", "FALSE", "1", "0", ""],
    "moment": ["2026-02-02", "2026-02-02 03:04:05", "2026-02-02T03:04:05.123456789+14:00", ""],
    "cursor": [""],
    "key": ["1", "9223372036854775807", ""],
    "choice": ["active", "revoked", "expired", "all", ""],
    "address": ["203.0.113.9", "::ffff:10.0.0.1", "2001:DB8::1", ""],
    "method": ["GET", ""],
    "path": ["/", "/v1/%", "/v1/_", "/v1/\\", ""],
    "request": ["req_" + "0" * 32, ""],
    "rule": ["key_revoked", "rate_limited", ""],
    "zone": ["Europe/Vienna", "UTC", ""],
    "decision": [""],
    "beside cursor_id": [""],
    "word": ["odd", "[]", "1 millisecond", "../../etc", "' OR 1=1 --", "x" * 5000, ""],
    "text": ["%", "_", "\\", "' OR 1=1 --", "x" * 5000, "\u202e", "%_" * 100, ""],
}
ASKING = [operation for operation in OPERATIONS if operation.query]


def kind_of(parameter: str) -> str:
    assert parameter in routes.QUERY_KINDS, f"say in QUERY_KINDS of tests/support/routes.py what {parameter} is"
    return routes.QUERY_KINDS[parameter]


@pytest.mark.parametrize("operation", ASKING, ids=named)
def test_400_that_names_the_parameter_that_cannot_be_read(
    operation: Operation, stage: Stage, subtests: pytest.Subtests
) -> None:
    client, rows = stage.own.client(operation), every_row()
    for parameter in operation.query:
        for value in [*BAD[kind_of(parameter)], "a\x00b"]:
            with subtests.test(f"{parameter}={value[:40]!r}"):
                query = f"?{parameter}={quote(value)}"
                answer = send(client, operation, stage.own.place, good(operation, stage.own), query)
                assert fields_of(problem_of(answer, operation)) == [parameter]
                assert answer[0] == 400
    assert every_row() == rows


@pytest.mark.parametrize("operation", ASKING, ids=named)
def test_200_for_what_is_out_of_range_or_means_nothing(
    operation: Operation, stage: Stage, subtests: pytest.Subtests
) -> None:
    client, rows = stage.own.client(operation), every_row()
    for parameter in operation.query:
        for value in TAKEN[kind_of(parameter)]:
            with subtests.test(f"{parameter}={value[:40]!r}"):
                query = f"?{parameter}={quote(value)}"
                status, body = send(client, operation, stage.own.place, good(operation, stage.own), query)
                assert status == 200, body
                if parameter == "limit":
                    answer = json.loads(body)
                    assert 1 <= (answer["data"] if operation.is_frontend else answer)["limit"] <= 1000
    assert every_row() == rows


PAIRS = {
    "a start after the end": ("start_date=2026-02-02&end_date=2026-02-01", "end_date"),
    "a row without its time": ("cursor_id=req_" + "0" * 32, "cursor_ts"),
    "a time without its row": ("cursor_ts=2026-02-02", "cursor_id"),
    "a row that is none": ("cursor_ts=2026-02-02&cursor_id=1", "cursor_id"),
    "a row of the year 10889": ("cursor_ts=2026-02-02&cursor_id=req_" + "f" * 32, "cursor_id"),
    "a time that is none": ("cursor_ts=now&cursor_id=req_" + "0" * 32, "cursor_ts"),
    "a time in other digits": ("cursor_ts=%D9%A3&cursor_id=req_" + "0" * 32, "cursor_ts"),
}


@pytest.mark.parametrize("operation", ASKING, ids=named)
def test_400_for_parameters_that_do_not_fit_each_other(
    operation: Operation, stage: Stage, subtests: pytest.Subtests
) -> None:
    for name, (query, field) in PAIRS.items():
        if field not in operation.query:
            continue
        with subtests.test(name):
            answer = send(stage.own.client(operation), operation, stage.own.place, query=f"?{query}")
            assert fields_of(problem_of(answer, operation)) == [field]


STRANGE_QUERIES = [
    "?",
    "?&&&=&",
    "?=x",
    "?x",
    "?%",
    "?%zz=%zz",
    "?%ff=%ff",
    "?a[]=1&a[]=2",
    "?limit[$gt]=1",
    "??",
    "?;",
]


@pytest.mark.parametrize("operation", [o for o in BACKEND + SESSION if o.method == "GET"], ids=named)
def test_a_query_of_no_meaning_is_ignored(operation: Operation, stage: Stage, subtests: pytest.Subtests) -> None:
    client = stage.own.client(operation)
    plain = send(client, operation, stage.own.place)
    for query in [*STRANGE_QUERIES, "?" + "x" * 30_000]:
        with subtests.test(query[:40]):
            assert send(client, operation, stage.own.place, query=query) == plain


@pytest.mark.parametrize("operation", [o for o in BACKEND + SESSION if o.method == "GET"], ids=named)
def test_400_for_more_parameters_than_anybody_needs(operation: Operation, stage: Stage) -> None:
    query = "?" + "&".join(f"x{number}=1" for number in range(1001))
    problem_of(send(stage.own.client(operation), operation, stage.own.place, query=query), operation)


@pytest.mark.parametrize("accepted", ["text/csv", "text/html", "*/*;q=0", "x" * 5000])
def test_whatever_is_accepted_the_answer_is_json(accepted: str, stage: Stage, subtests: pytest.Subtests) -> None:
    for operation in (operation for operation in BACKEND + SESSION if operation.method == "GET"):
        with subtests.test(operation.name):
            response = stage.own.client(operation).get(
                operation.path.format_map(stage.own.place), headers={"Accept": accepted}
            )
            assert (response.status_code, response["Content-Type"].partition(";")[0]) == (200, "application/json")


SEGMENTS = [
    "%00",
    "%ff",
    "%ED%A0%80",
    "a" * 10_000,
    "%2e%2e",
    "..%2f..",
    "a%2fb",
    "٣",
    "%E2%80%8B",
    "%0d%0aX:y",
    "'%20OR%201=1--",
    "%7B%7D",
    "-1",
    "0",
    "9" * 40,
    "1.0",
    "null",
]


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.parameters], ids=named)
def test_404_for_a_name_that_can_be_nobodys(operation: Operation, stage: Stage, subtests: pytest.Subtests) -> None:
    client, rows = stage.own.client(operation), every_row()
    for parameter in operation.parameters:
        for segment in SEGMENTS:
            with subtests.test(f"{parameter}={segment[:40]}"):
                place = {**stage.own.place, parameter: segment}
                answer = send(client, operation, place, good(operation, stage.own))
                problem_of(answer, operation)
                assert answer[0] == 404
    assert every_row() == rows


METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "TRACE", "CONNECT", "BREW", "")


def test_405_that_names_the_methods_of_every_address(stage: Stage, subtests: pytest.Subtests) -> None:
    taken = {path: {o.method for o in OPERATIONS if o.path == path} for path in {o.path for o in OPERATIONS}}
    taken |= {f"/{path}": {"GET", "HEAD"} for path in routes.WITHOUT_OPERATION}
    rows, place = every_row(), {**stage.own.place, "name": "backend"}
    for path, allowed in taken.items():
        says_why = is_json_path(path)  # the API reference is pages
        for method in set(METHODS) - allowed:
            with subtests.test(f"{method} {path}"):
                for client in (Client(), stage.own.backend(), stage.own.page()):
                    response = client.generic(method, path.format_map(place))
                    assert response.status_code == 405
                    assert {name.strip() for name in response["Allow"].split(",")} == allowed
                    assert not says_why or method == "HEAD" or response.json()["code"] == "method_not_allowed"
    assert every_row() == rows
