"""Whose address the activity log has: the caller's, where the proxy in between is trusted, and else the proxy's."""

from collections.abc import Callable

import pytest

from apiauth.models import ActivityEntry
from apiauth.services.tickets import IssuedTicket
from tests.support.web import web_process

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

CALLER = "203.0.113.24"


@pytest.mark.parametrize(
    ("trusted", "expected"),
    [("127.0.0.1", CALLER), ("", "127.0.0.1"), ("10.0.0.0/8", "127.0.0.1")],
    ids=["our proxy", "nobody", "somebody else"],
)
def test_a_session_is_opened_from_the_address_that_a_trusted_proxy_saw(
    make_ticket: Callable[..., IssuedTicket], trusted: str, expected: str
) -> None:
    exchange = (
        b"POST /session/ticket/exchange HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
        b"X-Forwarded-For: 198.51.100.7, %b\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%b"
    )
    body = f"ticket={make_ticket().text}".encode()
    with web_process(KEYSTEAD_TRUSTED_PROXIES=trusted) as web:
        status, _, _ = web.answer(exchange % (CALLER.encode(), len(body), body))
    assert status == 200
    assert ActivityEntry.objects.get(event="session.opened").personal["client_ip"] == expected
