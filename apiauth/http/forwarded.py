"""Who asks, where proxies stand in between: `X-Forwarded-For`, as far as those who wrote it can be trusted."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

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
    """Return an address, an IPv4 one also from within IPv6; None for what is none, one with a port or zone included."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return None if address.scope_id is not None else address.ipv4_mapped or address
    return address
