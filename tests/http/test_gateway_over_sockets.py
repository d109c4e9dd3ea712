"""What comes over a socket to a gateway's server, to the last byte: a decision on record, or a 4xx; never a 5xx."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apiauth.audit.record import Intact, read_frames
from apiauth.core.secrets import mint
from tests.support.gateways import question
from tests.support.processes import GATEWAY, Process, environment_in, free_port, ready

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

CHECK = json.dumps(question(mint("nw_live"))).encode()
BATCH = b'{"checks":[%b]}' % CHECK
BODIES = {"/v1/authz/check": CHECK, "/v1/authz/check-batch": BATCH}
PATIENCE_SECONDS = 20
REQUEST_ID = re.compile(r'"request_id":"(req_[0-9a-f]{32})"')


@dataclass(frozen=True)
class Gateway:
    """A gateway process over an empty database: every well-made check is a decision about an unknown key."""

    port: int
    spool: Path

    @contextmanager
    def connection(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS) as connection:
            yield connection

    def recorded(self) -> list[str]:
        """Return the request ids of all decisions on record."""
        data = b"".join(path.read_bytes() for path in self.spool.glob("*.spool"))
        frames = (found for found in read_frames(data, 0, True) if isinstance(found, Intact))
        return [f"req_{found.record.id.hex()}" for found in frames]

    def records(self) -> int:
        return len(self.recorded())


@contextmanager
def running_gateway(folder: Path) -> Iterator[Gateway]:
    port = free_port()
    process = Process(GATEWAY, port, 0.5, environment=environment_in(folder))
    try:
        ready(port)
        yield Gateway(port, folder / "spool")
    finally:
        process.kill()


@pytest.fixture(scope="module")
def gateway(django_db_setup, tmp_path_factory):
    with running_gateway(tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.fixture
def gateway_of_its_own(tmp_path):
    """For a test that leaves while its questions are decided: nobody else counts what is recorded then."""
    with running_gateway(tmp_path) as gateway:
        yield gateway


def request(path="/v1/authz/check", *, headers=b"", line=None, length=True):
    """Return a request with the good body of its path, and these headers besides."""
    body = BODIES[path]
    told = b"Content-Length: %d\r\n" % len(body) if length else b""
    return b"%b\r\nHost: x\r\n%b%b\r\n%b" % (line or b"POST %b HTTP/1.1" % path.encode(), told, headers, body)


class Answers:
    """The answers on one connection, read one by one."""

    def __init__(self, connection):
        self._file = connection.makefile("rb")

    def next(self):
        """Return status, headers and body of the next answer; status 0 at the end of the connection."""
        try:
            line = self._file.readline()
        except ConnectionResetError:
            return 0, {}, b""
        if not line:
            return 0, {}, b""
        headers = {}
        while (header := self._file.readline().strip()) != b"":
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        status = int(line.split()[1])
        return status, headers, self._file.read(int(headers.get("content-length", 0)))


def is_decision(status, body):
    return status in (200, 401) and (b'"request_id"' in body)


CHUNKED = b"Transfer-Encoding: chunked\r\n"
DECIDED = {
    "no content type": request(),
    "text/plain": request(headers=b"Content-Type: text/plain\r\n"),
    "utf-7": request(headers=b"Content-Type: application/json; charset=utf-7\r\n"),
    "content length twice, the same": request(headers=b"Content-Length: %d\r\n" % len(CHECK)),
    "absolute form": request(line=b"POST http://evil.example/v1/authz/check HTTP/1.1"),
    "two hosts": request(headers=b"Host: y\r\n"),
    "an upgrade that is not taken": request(headers=b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    "a header that is not UTF-8": request(headers=b"User-Agent: \xff\xfe\r\n"),
    "http/1.0": request(line=b"POST /v1/authz/check HTTP/1.0"),
}


@pytest.mark.parametrize("what", DECIDED)
def test_a_recorded_decision(gateway, what):
    before = gateway.records()
    with gateway.connection() as connection:
        connection.sendall(DECIDED[what])
        status, headers, body = Answers(connection).next()
    assert (status, headers["content-type"]) == (401, "application/json")
    assert json.loads(body)["reason"] == "invalid_key"
    assert gateway.records() == before + 1


REFUSED = {
    "two lengths": (400, request(headers=b"Content-Length: 5\r\n")),
    "a list of lengths": (400, request(length=False, headers=b"Content-Length: 5, 5\r\n")),
    "a length with a sign": (400, request(length=False, headers=b"Content-Length: +5\r\n")),
    "length and chunks": (411, request(headers=CHUNKED)),
    "chunks": (411, request(length=False, headers=CHUNKED)),
    "chunk size overflow": (
        411, b"POST /v1/authz/check HTTP/1.1\r\nHost: x\r\n" + CHUNKED + b"\r\n" + b"f" * 17 + b"\r\n" + CHECK,
    ),
    "unknown coding": (400, request(headers=b"Transfer-Encoding: xchunked\r\n")),
    "coding that is no chunks": (400, request(length=False, headers=b"Transfer-Encoding: gzip\r\n")),
    "no length and no body": (400, b"POST /v1/authz/check HTTP/1.1\r\nHost: x\r\n\r\n"),
    "1 GiB announced": (413, request(length=False, headers=b"Content-Length: 1073741824\r\n")),
    "100 headers of 8 KiB": (431, request(headers=b"".join(b"X-%d: %b\r\n" % (n, b"a" * 8192) for n in range(100)))),
    "1000 headers": (431, request(headers=b"".join(b"X-%d: a\r\n" % n for n in range(1000)))),
    "nul in a header": (400, request(headers=b"X: a\0b\r\n")),
    "line folding": (400, request(headers=b"X: a\r\n b\r\n")),
    "space before the colon": (400, request(headers=b"X : a\r\n")),
    "http/0.9": (400, b"POST /v1/authz/check\r\n\r\n"),
    "http/2 by a version alone": (400, request(line=b"POST /v1/authz/check HTTP/2.0")),
    "tls": (400, bytes.fromhex("16030100f8010000f40303") + bytes(200)),
    "trace": (405, b"TRACE /v1/authz/check HTTP/1.1\r\nHost: x\r\n\r\n"),
    "connect": (404, b"CONNECT evil.example:443 HTTP/1.1\r\nHost: x\r\n\r\n"),
    "an invented method": (405, b"BREW /v1/authz/check HTTP/1.1\r\nHost: x\r\n\r\n"),
    "asterisk form": (404, b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"),
    "broken escape in the path": (404, request(line=b"POST /v1/authz/check%zz HTTP/1.1")),
    "another path in disguise": (404, request(line=b"POST /v1/authz/../authz/check HTTP/1.1")),
}  # fmt: skip


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("what", REFUSED)
def test_a_4xx_and_no_decision(gateway, what, path):
    expected, data = REFUSED[what]
    data = data.replace(b"/v1/authz/check", path.encode())
    before = gateway.records()
    with gateway.connection() as connection:
        connection.sendall(data)
        status, _, body = Answers(connection).next()
    assert status == expected
    if body:  # what the server's own parser refuses has none
        assert set(json.loads(body)) >= {"message", "code", "details", "errors", "request_id"}
    else:
        assert status in (400, 431)
    assert gateway.records() == before


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"POST /v1/authz/check HTTP/1.1\r\nHost: x\r\n"
UNCLEAR_ENDS = {
    "length and chunks": HEAD + b"Content-Length: 44\r\n" + CHUNKED + b"\r\n0\r\n\r\n",
    "chunks with a long size": HEAD + CHUNKED + b"\r\n" + b"0" * 40 + b"5\r\nabcde\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
    "a length below zero": HEAD + b"Content-Length: -1\r\n\r\n",
    "a coding in disguise": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n",
    "a line feed in a value": HEAD + b"X: a\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n",
}


@pytest.mark.parametrize("what", UNCLEAR_ENDS)
def test_where_a_body_ends_is_never_guessed(gateway, what):
    """What follows is either a request of its own, or is not answered at all: it never belongs to two."""
    before = gateway.records()
    with gateway.connection() as connection:
        connection.sendall(UNCLEAR_ENDS[what] + SMUGGLED)
        answers = Answers(connection)
        first = answers.next()
        connection.shutdown(socket.SHUT_WR)
        rest = list(iter(lambda: answers.next()[0], 0))
    assert first[0] in (400, 404, 411)
    assert rest in ([], [404])
    assert gateway.records() == before


def test_a_refused_call_does_not_spoil_the_next_one_on_its_connection(gateway):
    spoilt = request(length=False, headers=b"Content-Length: 3\r\n")[: -len(CHECK)] + b"{}{"
    with gateway.connection() as connection:
        answers = Answers(connection)
        for _ in range(3):
            connection.sendall(spoilt + request())
            assert [answers.next()[0], answers.next()[0]] == [400, 401]


def test_a_thousand_calls_sent_at_once_are_answered_in_order(gateway):
    bodies = [json.dumps(question("x", method="BREW" if number % 2 else "GET")).encode() for number in range(1000)]
    head = b"POST /v1/authz/check HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    data = b"".join(head % len(body) + body for body in bodies)
    with gateway.connection() as connection:
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        answers = Answers(connection)
        statuses = [answers.next()[0] for _ in bodies]
        sender.join()
    assert statuses == [401, 400] * 500


def test_a_body_that_is_promised_and_never_sent_is_asked_for_and_decides_nothing(gateway):
    before = gateway.records()
    with gateway.connection() as connection:
        connection.sendall(request(headers=b"Expect: 100-continue\r\n")[: -len(CHECK)])
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
    with gateway.connection() as connection:
        connection.sendall(request()[:-5])
        connection.shutdown(socket.SHUT_WR)
        status, _, _ = Answers(connection).next()
    assert status in (0, 400)
    assert gateway.records() == before


@pytest.mark.parametrize("path", BODIES)
def test_a_body_in_pieces_is_one_body(gateway, path):
    data = request(path)
    with gateway.connection() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for place in range(len(data)):
            connection.sendall(data[place : place + 1])
        status, _, body = Answers(connection).next()
    assert is_decision(status, body)


def test_callers_who_never_finish_their_bodies_cannot_stop_the_others(gateway):
    """Twice as many as there are threads hold the gateway; it frees itself, and takes the next question."""
    held = [socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE_SECONDS) for _ in range(8)]
    try:
        for connection in held:
            connection.sendall(request()[:-5])
        assert Answers(held[0]).next()[0] == 0
        with gateway.connection() as connection:
            connection.sendall(request())
            assert Answers(connection).next()[0] == 401
    finally:
        for connection in held:
            connection.close()


def edited(data, edits):
    """Return bytes with some of them changed, taken out or put in."""
    changed = bytearray(data)
    for kind, place, new in edits:
        at = place % (len(changed) + 1)
        changed[at : at + (kind != "put in")] = b"" if kind == "take out" else new
    return bytes(changed)


EDITS = st.lists(
    st.tuples(
        st.sampled_from(["change", "take out", "put in"]), st.integers(0, 2_000), st.binary(min_size=1, max_size=4)
    ),
    min_size=1,
    max_size=6,
)


@given(st.sampled_from([request(), request(headers=b"Connection: close\r\n"), request("/v1/authz/check-batch")]), EDITS)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_caller_sends_is_a_decision_on_record_or_a_4xx(gateway_of_its_own, good, edits):
    """Who ends their side of a connection may get no answer to what is still being decided: never one unrecorded."""
    answered = []
    with gateway_of_its_own.connection() as connection:
        connection.sendall(edited(good, edits))
        connection.shutdown(socket.SHUT_WR)
        answers = Answers(connection)
        while (answer := answers.next())[0]:
            status, _, body = answer
            assert status in (200, 401) or 400 <= status < 500, body
            if is_decision(status, body):
                request_ids = REQUEST_ID.findall(body.decode())
                assert request_ids
                answered += request_ids
    recorded = gateway_of_its_own.recorded()
    assert [recorded.count(request_id) for request_id in answered] == [1] * len(answered)
