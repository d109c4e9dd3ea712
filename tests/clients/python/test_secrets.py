"""A key, a ticket and a backend key show in no repr, no log, no exception and no URL."""

import logging
import traceback
from typing import Any

import pytest
from keystead_client import AsyncKeystead, Incoming, IssuedKey, Keystead, KeysteadError, Question, Ticket
from keystead_client.management import issue_ticket
from keystead_client.settings import Settings

from tests.clients.python.conftest import BACKEND_KEY, DROP, KEY, Ask, Peer
from tests.clients.python.test_transport import MADE_KEY, TICKET

GATEWAY_KEY = "ksb_" + "g" * 49
SECRETS = (KEY, BACKEND_KEY, GATEWAY_KEY, TICKET["ticket"])


def shows_a_secret(text: str) -> bool:
    return any(str(secret) in text for secret in SECRETS)


def test_no_repr_shows_one(peer: Peer) -> None:
    peer.always = (200, {"key": MADE_KEY, "secret": KEY})
    options: Any = {"gateway_url": peer.url, "gateway_key": GATEWAY_KEY}
    with Keystead(peer.url, BACKEND_KEY, **options) as keystead:
        issued = keystead.create_key("aa_1", name="ci")
        shown = [keystead, keystead.__dict__["_settings"], AsyncKeystead(peer.url, BACKEND_KEY, **options), issued]
    assert isinstance(issued, IssuedKey)
    shown += [
        Ticket(**TICKET),  # type: ignore[arg-type]  # the values are of mixed types, and right
        Question(KEY, "GET", "/"),
        Incoming([f"Bearer {KEY}"], [KEY], "GET", "/"),
        Settings(url=peer.url, backend_key=BACKEND_KEY, gateway_key=GATEWAY_KEY),
        issue_ticket("aa_1"),
    ]
    step = next(issue_ticket("aa_1").converse(Settings(url=peer.url, backend_key=BACKEND_KEY)))

    assert not [value for value in [*shown, step] if shows_a_secret(repr(value)) or shows_a_secret(str(value))]


ENDS = [
    pytest.param(DROP, id="dropped"),
    pytest.param((500, KEY.encode()), id="an echo of what was sent"),
    pytest.param((200, {"allowed": KEY}), id="in a member of another type"),
    pytest.param((400, {"errors": [{"field": "method"}]}), id="refused"),
    pytest.param((503, {"code": "stale"}), id="stale"),
]


@pytest.mark.parametrize("answer", ENDS)
def test_no_exception_log_or_url_shows_one(ask: Ask, peer: Peer, answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for name, args, kwargs in (
        ("check", (KEY,), {"method": "GET", "resource": "/a"}),
        ("issue_ticket", ("aa_1",), {"subject": {"id": "u1"}}),
    ):
        peer.always = answer
        with pytest.raises(KeysteadError) as raised:
            ask(name, *args, **kwargs, client={"gateway_key": GATEWAY_KEY, "retries": 0})
        told = "".join(traceback.format_exception(raised.value)) + repr(raised.value.__dict__)
        assert not shows_a_secret(told)
        assert raised.value.__cause__ is None

    assert not shows_a_secret(caplog.text)
    assert not [asked for asked in peer.asked if shows_a_secret(asked.path)]


@pytest.mark.parametrize("key", ["ksb_ü", "ksb_\r\nX: y", " ksb_", ""])
def test_a_key_that_no_header_can_hold_is_refused_at_once_and_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="backend_key must be") as raised:
        Keystead("http://127.0.0.1:9", key)
    assert "ksb" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        *("keys.example.com", "ftp://keys", "http://user:pass@keys", "http://keys?x=1", "http://"),
        *("http://[::1", "http://a..b", "http://keys:port", f"http://{'a' * 64}.example.com"),
    ],
)
def test_an_address_that_is_none_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="gateway_url must be"):
        Keystead(gateway_url=url)
