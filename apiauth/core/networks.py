"""Ranges of client addresses in one spelling, and what is left of an address for those who may not see the whole."""

from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network

_KEPT_BITS = {4: 24, 6: 48}
_MAPPED_BITS = 96  # RFC 4291, section 2.5.5.2: before the IPv4 address


def client_range(text: str) -> str:
    """Return a range of addresses as calls are compared with it, a single address as a range of one.

    One of IPv4-mapped addresses is the IPv4 range that it means, since callers of both spellings count as IPv4.
    Raises ValueError for what is no range, and where it names a zone, which says nothing of who calls.
    """
    if "%" in text:
        raise ValueError("a range of clients has no zone")
    found = ip_network(text, strict=False)
    if isinstance(found, IPv6Network) and found.prefixlen >= _MAPPED_BITS:
        mapped = found.network_address.ipv4_mapped
        if mapped is not None:
            return f"{mapped}/{found.prefixlen - _MAPPED_BITS}"
    return str(found)


def network_of(address: str) -> str:
    """Return the /24 of an IPv4 address, the /48 of an IPv6 one; an empty text for what is no address."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return str(ip_network(f"{found}/{_KEPT_BITS[found.version]}", strict=False))


def network_around(address_range: str) -> str:
    """Return the network that a range lies in which is narrower than one; any other range as it is."""
    return network_of(address_range.partition("/")[0]) if is_narrower_than_a_network(address_range) else address_range


def is_narrower_than_a_network(address_range: str) -> bool:
    """Tell whether a range is a part of one network alone: whoever looks through such ranges learns the address."""
    found = ip_network(address_range, strict=False)
    return found.prefixlen > _KEPT_BITS[found.version]
