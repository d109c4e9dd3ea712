"""Ranges of client addresses in one spelling, and what is left of an address for those who may not see the whole."""

from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from apiauth.core.errors import Invalid

_KEPT_BITS = {4: 24, 6: 48}
_MAPPED_BITS = 96  # RFC 4291, section 2.5.5.2: before the IPv4 address


def client_range(text: str, *, field: str) -> str:
    """Return a range of addresses as calls are compared with it, a single address as a range of one.

    One of IPv4-mapped addresses is the IPv4 range that it means, since callers of both spellings count as IPv4.
    Raises Invalid that names the field for what is no range; where it names a zone, which says nothing of who calls;
    and for a netmask and for host bits, with which a range can come out far wider than it reads.
    """
    address, _, length = text.partition("/")
    try:
        found = ip_network(text, strict=False)
        first = ip_address(address)
    except ValueError:
        raise _no_range(text, field) from None
    if "%" in text:
        raise _no_range(text, field)
    if "." in length:
        raise Invalid(f"{text} has a netmask. Write how many bits it has, as in 203.0.113.0/24.", field=field)
    if first != found.network_address:
        raise Invalid(f"{text} has host bits set. Did you mean {_spelling(found)}, or {first} alone?", field=field)
    return _spelling(found)


def _no_range(text: str, field: str) -> Invalid:
    return Invalid(f"{text[:50]!r} isn't a valid address range.", field=field)


def _spelling(found: IPv4Network | IPv6Network) -> str:
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
