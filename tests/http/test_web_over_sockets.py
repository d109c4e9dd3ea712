"""What comes over a socket to the web process's server, to the last byte: what was asked for, or a 4xx; never a 5xx."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote

import pytest

from apiauth.core import clock
from apiauth.core.policy import read_policy
from apiauth.models import App, Key
from apiauth.services import deployments, subjects
from tests.conftest import ACTOR
from tests.support.problems import MEMBERS
from tests.support.rows import every_row
from tests.support.stage import Stage
from tests.support.web import Answer, Web, answers, web_process

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

PATH = b"/api-auth/apps/own_app"
BODY = b'{"name":"Renamed"}'
HOST = b"Host: 127.0.0.1\r\n"
JSON = b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
Request = Callable[..., bytes]
WRITTEN_BY_A_REVOKE = ("apiauth_backendkey", "apiauth_activityentry", "apiauth_activitychain")


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[Web]:
    with web_process() as running:
        yield running


@pytest.fixture
def request_of(stage: Stage) -> Request:
    """Make a request that renames an app, with what differs in it."""
    credential = b"Authorization: Bearer %b\r\n" % stage.own.backend_key.secret.text.encode()

    def make(
        headers: bytes = b"",
        *,
        line: bytes = b"PATCH %b HTTP/1.1" % PATH,
        host: bytes = HOST,
        kind: bytes = JSON,
        length: bytes = b"Content-Length: %d\r\n" % len(BODY),
        body: bytes = BODY,
    ) -> bytes:
        return b"%b\r\n%b%b%b%b%b\r\n%b" % (line, host, credential, kind, length, headers, body)

    return make


TAKEN: dict[str, dict[str, bytes]] = {
    "as it should be": {},
    "its length twice": {"headers": b"Content-Length: %d\r\n" % len(BODY)},
    "a header that is not UTF-8": {"headers": b"User-Agent: \xff\xfe\r\n"},
    "HTTP/1.0": {"line": b"PATCH %b HTTP/1.0" % PATH},
    "an upgrade that is not taken": {"headers": b"Connection: Upgrade\r\nUpgrade: h2c\r\n"},
    "an absolute address": {"line": b"PATCH http://127.0.0.1%b HTTP/1.1" % PATH},
    "another method in a header": {"headers": b"X-HTTP-Method-Override: DELETE\r\n"},
    "another host in a proxy's header": {"headers": b"X-Forwarded-Host: evil.example\r\n"},
    "a long query": {"line": b"PATCH %b?%b HTTP/1.1" % (PATH, b"a" * 30_000)},
}


def test_200_for_what_has_one_meaning(web: Web, request_of: Request, subtests: pytest.Subtests) -> None:
    for name, spoilt in TAKEN.items():
        with subtests.test(name):
            App.objects.update(name="Before")
            status, headers, body = web.answer(request_of(**spoilt))
            assert (status, json.loads(body)["name"]) == (200, "Renamed")
            assert "evil.example" not in body.decode() + str(headers)
            assert App.objects.get(slug="own_app").name == "Renamed"


REFUSED: dict[str, tuple[int, dict[str, bytes]]] = {
    "no type": (415, {"kind": b""}),
    "text": (415, {"kind": b"Content-Type: text/plain\r\n"}),
    "UTF-7": (415, {"kind": b"Content-Type: application/json; charset=utf-7\r\n"}),
    "two lengths": (400, {"headers": b"Content-Length: 5\r\n"}),
    "a list of lengths": (400, {"length": b"Content-Length: 5, 5\r\n"}),
    "a length with a sign": (400, {"length": b"Content-Length: +18\r\n"}),
    "a length below zero": (400, {"length": b"Content-Length: -1\r\n"}),
    "a length of 23 digits": (400, {"length": b"Content-Length: " + b"9" * 23 + b"\r\n"}),
    "1 GiB that never comes": (413, {"length": b"Content-Length: 1073741824\r\n", "body": b""}),
    "no length and no body": (400, {"length": b"", "body": b""}),
    "length and chunks": (411, {"headers": CHUNKED}),
    "chunks": (411, {"length": CHUNKED, "body": b"12\r\n%b\r\n0\r\n\r\n" % BODY}),
    "a chunk size that overflows": (411, {"length": CHUNKED, "body": b"f" * 17 + b"\r\n" + BODY}),
    "an unknown coding": (400, {"headers": b"Transfer-Encoding: xchunked\r\n"}),
    "a coding that is no chunks": (400, {"length": b"Transfer-Encoding: gzip\r\n"}),
    "100 headers of 8 KiB": (431, {"headers": b"".join(b"X-%d: %b\r\n" % (n, b"a" * 8192) for n in range(100))}),
    "1000 headers": (431, {"headers": b"".join(b"X-%d: a\r\n" % n for n in range(1000))}),
    "NUL in a header": (400, {"headers": b"X: a\0b\r\n"}),
    "a folded header": (400, {"headers": b"X: a\r\n b\r\n"}),
    "a space before the colon": (400, {"headers": b"X : a\r\n"}),
    "HTTP/2 by its version alone": (400, {"line": b"PATCH %b HTTP/2.0" % PATH}),
    "two hosts": (400, {"headers": b"Host: evil.example\r\n"}),
    "one host twice": (400, {"headers": HOST}),
    "another host before ours": (400, {"host": b"Host: evil.example\r\n" + HOST}),
    "no host": (400, {"host": b""}),
    "an empty host": (400, {"host": b"Host:\r\n"}),
    "a host with a user": (400, {"host": b"Host: 127.0.0.1@evil.example\r\n"}),
    "a host with a path": (400, {"host": b"Host: 127.0.0.1/#@evil.example\r\n"}),
    "two credentials": (401, {"headers": b"Authorization: Bearer ksb_x\r\n"}),
    "a broken escape": (404, {"line": b"PATCH %b%%zz HTTP/1.1" % PATH}),
    "a path in disguise": (404, {"line": b"PATCH /api-auth/../api-auth/apps/own_app HTTP/1.1"}),
    "a path with two slashes": (404, {"line": b"PATCH /%b HTTP/1.1" % PATH}),
    "a raw byte in the path": (400, {"line": b"PATCH %b\xff HTTP/1.1" % PATH}),
    "a space in the path": (400, {"line": b"PATCH %b x HTTP/1.1" % PATH}),
    "backslashes": (400, {"line": b"PATCH \\api-auth\\apps\\own_app HTTP/1.1"}),
    "a query of 70 KiB": (414, {"line": b"PATCH %b?%b HTTP/1.1" % (PATH, b"a" * 70_000)}),
}
BARE: dict[str, tuple[int, bytes]] = {
    "HTTP/0.9": (400, b"GET /health\r\n\r\n"),
    "TLS": (400, bytes.fromhex("16030100f8010000f40303") + bytes(200)),
    "TRACE": (405, b"TRACE %b HTTP/1.1\r\n%b\r\n" % (PATH, HOST)),
    "CONNECT": (404, b"CONNECT evil.example:443 HTTP/1.1\r\n%b\r\n" % HOST),
    "an invented method": (405, b"BREW %b HTTP/1.1\r\n%b\r\n" % (PATH, HOST)),
    "an asterisk": (404, b"OPTIONS * HTTP/1.1\r\n%b\r\n" % HOST),
    "no method": (400, b" %b HTTP/1.1\r\n%b\r\n" % (PATH, HOST)),
}
BY_THE_SERVER = (400, 414, 431)  # what its parser refuses has no body


def test_4xx_and_no_row_changed(web: Web, request_of: Request, subtests: pytest.Subtests) -> None:
    rows = every_row()
    requests = {name: (status, request_of(**spoilt)) for name, (status, spoilt) in REFUSED.items()}
    for name, (expected, data) in (requests | BARE).items():
        with subtests.test(name):
            status, headers, body = web.answer(data)
            assert status == expected
            assert set(json.loads(body)) == MEMBERS if body else status in BY_THE_SERVER
            assert not body or headers["content-type"].startswith("application/json")
            assert every_row() == rows


SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
HEAD = b"POST /session/tickets HTTP/1.1\r\n" + HOST + JSON
UNCLEAR_ENDS = {
    "length and chunks": HEAD + b"Content-Length: 44\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "chunks with a long size": HEAD + CHUNKED + b"\r\n" + b"0" * 40 + b"5\r\nabcde\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
    "a length below zero": HEAD + b"Content-Length: -1\r\n\r\n",
    "a coding in disguise": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
    "a line feed in a value": HEAD + b"X: a\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n",
    "a length in a header of another name": HEAD + b"Content_Length: 44\r\n\r\n",
}


@pytest.mark.parametrize("what", UNCLEAR_ENDS)
def test_where_a_body_ends_is_never_guessed(web: Web, what: str) -> None:
    """What follows is either a request of its own or is not answered at all: it never belongs to two."""
    with web.connection() as connection:
        connection.sendall(UNCLEAR_ENDS[what] + SMUGGLED)
        statuses = (status for status, _, _ in answers(connection))
        first = next(statuses)
        connection.shutdown(socket.SHUT_WR)
        rest = list(statuses)
    assert first in (400, 401, 411)
    assert rest in ([], [404])


def test_a_thousand_requests_sent_at_once_are_answered_in_order(web: Web) -> None:
    paths = [b"/health" if number % 2 else b"/none-%d" % number for number in range(1000)]
    data = b"".join(b"GET %b HTTP/1.1\r\n%bX-Request-Id: %b\r\n\r\n" % (p, HOST, p[1:]) for p in paths)
    with web.connection() as connection:
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        found = answers(connection)
        answered = [next(found) for _ in paths]
        sender.join()
    assert [status for status, _, _ in answered] == [404, 200] * 500
    assert [headers["x-request-id"].encode() for _, headers, _ in answered] == [path[1:] for path in paths]


@pytest.mark.parametrize("path", ["/health", "/none", "/openapi/backend.json"])
def test_an_answer_comes_in_one_piece_and_says_its_length(web: Web, path: str) -> None:
    status, headers, body = web.answer(b"GET %b HTTP/1.1\r\n%b\r\n" % (path.encode(), HOST))
    assert status in (200, 404)
    assert "transfer-encoding" not in headers
    assert int(headers["content-length"]) == len(body) > 0


def test_a_refused_request_does_not_spoil_the_next_one_on_its_connection(web: Web, request_of: Request) -> None:
    with web.connection() as connection:
        found = answers(connection)
        for _ in range(3):
            connection.sendall(request_of(body=b"{" * len(BODY)) + request_of())
            assert [next(found)[0], next(found)[0]] == [400, 200]


def test_a_body_that_is_promised_and_never_sent_is_asked_for_and_changes_nothing(web: Web, request_of: Request) -> None:
    rows = every_row()
    with web.connection() as connection:
        connection.sendall(request_of(b"Expect: 100-continue\r\n", body=b""))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
    with web.connection() as connection:
        connection.sendall(request_of()[:-5])
        connection.shutdown(socket.SHUT_WR)
        assert [status for status, _, _ in answers(connection)] in ([], [400])
    assert every_row() == rows


def test_a_request_in_pieces_is_one_request(web: Web, request_of: Request) -> None:
    with web.connection() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request_of():
            connection.sendall(bytes([byte]))
        assert next(answers(connection))[0] == 200


def test_headers_that_do_not_come_are_waited_for_in_vain_for_a_while_alone(web: Web) -> None:
    """The server closes the connection, and its threads were never held: many such callers stop nobody."""
    held = [socket.create_connection(("127.0.0.1", web.port), timeout=20) for _ in range(50)]
    try:
        for connection in held:
            connection.sendall(b"GET /health HTTP/1.1\r\nHo")
        assert web.answer(b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n")[0] == 200
        assert {status for connection in held for status, _, _ in answers(connection)} <= {408}
    finally:
        for connection in held:
            connection.close()


def test_callers_who_never_finish_their_bodies_cannot_stop_the_others(web: Web, request_of: Request) -> None:
    """Twice as many as there are threads hold the process, without a credential; it frees itself and goes on."""
    entry = b"POST /vanity/api-auth HTTP/1.1\r\n%bContent-Type: application/x-www-form-urlencoded\r\n" % HOST
    held = [socket.create_connection(("127.0.0.1", web.port), timeout=20) for _ in range(8)]
    try:
        for connection in held:
            connection.sendall(entry + b"Content-Length: 100\r\n\r\nticket=")
        assert list(answers(held[0])) == []
        assert web.answer(request_of())[0] == 200
    finally:
        for connection in held:
            connection.close()


def test_200_for_the_removal_of_a_subject_whose_id_has_slashes(
    web: Web, request_of: Request, subtests: pytest.Subtests
) -> None:
    for subject_id in ("acme/ann", "/ann", "ann/", "a//b", "a%2Fb"):
        with subtests.test(subject_id):
            ticket = {
                "ticket_type": "api_auth_access",
                "api_auth_app_slug": "own_app",
                "subject": {"id": subject_id},
            }
            body = json.dumps(ticket).encode()
            length = b"Content-Length: %d\r\n" % len(body)
            issue = request_of(line=b"POST /session/tickets HTTP/1.1", length=length, body=body)
            assert web.answer(issue)[0] == 200
            address = b"/api-auth/apps/own_app/subjects/%b" % quote(subject_id, safe="").encode()
            line = b"DELETE %b HTTP/1.1" % address
            status, _, answer = web.answer(request_of(line=line, kind=b"", length=b"", body=b""))
            assert (status, json.loads(answer)["subject_id"]) == (200, subject_id)


@contextmanager
def held_back(web: Web, request: bytes) -> Iterator[Callable[[], Answer]]:
    """Send a request but for its body, which the server asks for; yield what sends that and returns the answer."""
    head, _, body = request.partition(b"\r\n\r\n")
    with web.connection() as connection:
        connection.sendall(b"%b\r\nExpect: 100-continue\r\n\r\n" % head)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body[:1])

        def finish() -> Answer:
            connection.sendall(body[1:])
            return next(answers(connection))

        yield finish


def test_a_backend_key_that_is_revoked_before_the_body_is_there_makes_no_key(
    web: Web, request_of: Request, stage: Stage
) -> None:
    body, rows = b'{"name":"late"}', every_row(but=WRITTEN_BY_A_REVOKE)
    length = b"Content-Length: %d\r\n" % len(body)
    line = b"POST %b/keys HTTP/1.1" % PATH
    own = stage.own.backend_key.row
    with held_back(web, request_of(line=line, length=length, body=body)) as finish:
        deployments.revoke_backend_key(
            deployment_id=own.deployment_id, backend_key_id=own.pk, actor=ACTOR, now=clock.now()
        )
        status, _, answer = finish()
    assert (status, json.loads(answer)["code"]) == (401, "not_authenticated")
    assert every_row(but=WRITTEN_BY_A_REVOKE) == rows


def test_a_subject_that_is_removed_before_the_body_is_there_has_no_key_left(web: Web, stage: Stage) -> None:
    own, body = stage.own, b"name=late"
    App.objects.filter(pk=own.app.pk).update(policy=read_policy({"scope": {"keys_outlive_creator": False}}))
    kind = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n" % len(body)
    caller = b"Cookie: ks_session=%b\r\nOrigin: %b\r\n" % (own.session_token.encode(), own.origin.encode())
    request = b"POST /api-auth/keys HTTP/1.1\r\n%b%b%b\r\n%b" % (HOST, caller, kind, body)
    with held_back(web, request) as finish:
        subjects.remove_subject(
            deployment_id=own.deployment_id,
            slug=own.app.slug,
            subject_id=own.session.subject_id,
            actor=ACTOR,
            now=clock.now(),
        )
        status, _, answer = finish()
    assert (status, json.loads(answer)["errors"][0]["code"]) == (401, "not_authenticated")
    assert not Key.objects.filter(name="late").exists()
