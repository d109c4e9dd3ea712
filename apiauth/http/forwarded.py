"""Who asks, where proxies stand in between: `X-Forwarded-For`, as far as those who wrote it can be trusted."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from apiauth.core.errors import Invalid
from apiauth.verify.addresses import parse_address

Networks = Sequence[IPv4Network | IPv6Network]


def caller_of(peer: str, forwarded: str, trusted: Networks) -> str:
    """Return the address of the one who asked the outermost proxy that is trusted.

    Each proxy adds the address that it was asked from at the end, so the list is read from there: whatever stands
    before the first address that is no trusted proxy's was written by a stranger. Where a trusted proxy has added
    what is no address, nobody knows who asked, and the proxy itself is returned.
    """
    known = peer
    for text in reversed(forwarded.split(",")):
        if not _is_trusted(known, trusted):
            break
        address = _address(text.strip())
        if address is None:
            break
        known = str(address)
    return known


def _is_trusted(text: str, trusted: Networks) -> bool:
    address = _address(text)
    return address is not None and any(address in network for network in trusted)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address, None for what is none."""
    try:
        return parse_address(text).value
    except Invalid:
        return None
