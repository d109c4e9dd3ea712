"""Asks whether a page is there: one HEAD to a public address, over a connection that nothing can lead elsewhere.

The address comes from whoever may edit the app, and the question is asked from inside the
operator's network. So: http and https alone, no name and password, every address of the host must
be public, the one that was looked up is the one that is connected to, and no redirect is followed.
"""

import socket
import ssl
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from ipaddress import IPv4Address, IPv6Address, ip_address

from apiauth.services.go_live import Answer
from apiauth.services.text import web_address

SECONDS = 5.0
Address = IPv4Address | IPv6Address
_HEADERS = {"User-Agent": "keystead-doctor", "Accept": "*/*", "Connection": "close"}


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the open internet."""
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (inner or address).is_global and not (inner or address).is_multicast


def ask_for(url: str, *, may_ask: Callable[[Address], bool] = is_public) -> Answer:
    """Return whether a page is there, in words too. Never raises: what cannot be asked is not known."""
    parts = web_address(url)
    if parts is None or parts.username or parts.password or not parts.hostname:
        return Answer(None, "not asked: this is no plain http or https address")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = _looked_up(parts.hostname, port)
        if not all(may_ask(address) for address in found):
            return Answer(None, "not asked: its host has an address that is not public")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return _judged(_head(parts.scheme, parts.hostname, port, str(found[0]), path))
    except (OSError, HTTPException, ValueError) as problem:
        return Answer(None, f"could not be asked ({type(problem).__name__})")


def _looked_up(host: str, port: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ip_address(str(place[4][0]).partition("%")[0]) for place in found]


def _head(scheme: str, host: str, port: int, address: str, path: str) -> int:
    """Return the status of a HEAD that goes to `address`, with the host's name in it and in the certificate."""
    connection = HTTPConnection(host, port, timeout=SECONDS)
    plain = socket.create_connection((address, port), timeout=SECONDS)
    try:
        connection.sock = (
            ssl.create_default_context().wrap_socket(plain, server_hostname=host) if scheme == "https" else plain
        )
        connection.request("HEAD", path, headers=_HEADERS)
        return connection.getresponse().status
    finally:
        connection.close()
        plain.close()


def _judged(status: int) -> Answer:
    if status < 400:
        return Answer(True, f"answers {status}{' and leads on' if status >= 300 else ''}")
    refuses_the_question = status in (401, 403, 405, 429) or status >= 500
    return Answer(None if refuses_the_question else False, f"answers {status}")
