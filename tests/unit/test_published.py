"""Whether a page is there is asked of the open internet alone, once, and without being led elsewhere."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest

from apiauth.management.published import ask_for, is_public


@pytest.fixture
def served() -> Iterator[Callable[[int], tuple[str, list[str]]]]:
    """A page on this machine that answers with a status; the list holds what was asked of it."""
    servers = []

    def serve(status: int) -> tuple[str, list[str]]:
        asked: list[str] = []

        class Page(BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                asked.append(f"{self.command} {self.path}")
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/keys?v=1", asked

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "is_there"),
    [(200, True), (302, True), (404, False), (410, False), (403, None), (405, None), (503, None)],
)
def test_one_head_tells_whether_the_page_is_there(
    served: Callable[[int], tuple[str, list[str]]], status: int, is_there: bool | None
) -> None:
    url, asked = served(status)
    assert ask_for(url, may_ask=lambda address: True).is_there is is_there
    assert asked == ["HEAD /keys?v=1"]


def test_an_address_within_the_network_is_not_asked(served: Callable[[int], tuple[str, list[str]]]) -> None:
    url, asked = served(200)
    for there in (url, url.replace("127.0.0.1", "localhost"), url.replace("127.0.0.1", "[::ffff:127.0.0.1]")):
        assert ask_for(there).is_there is None
    assert asked == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/",
        "http://user:word@example.com/",
        "http://",
        "nonsense",
        "http://127.0.0.1:1/",
        "http://a b/",
    ],
)
def test_what_cannot_be_asked_is_not_known(url: str) -> None:
    assert ask_for(url, may_ask=lambda address: True).is_there is None


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("fe80::1", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("0.0.0.0", False),
    ],
)
def test_only_addresses_of_the_open_internet_are_public(address: str, expected: bool) -> None:
    assert is_public(ip_address(address)) is expected
