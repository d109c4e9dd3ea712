"""Client addresses as callers claim them: one spelling each, and the group that limits count by."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from apiauth.core.errors import Invalid

IPV6_GROUP_BITS = 64  # one customer's network: counting single addresses would count nothing


class Address(NamedTuple):
    """An address, its one spelling, and the group it is counted in."""

    text: str
    value: IPv4Address | IPv6Address
    group: str


@lru_cache(maxsize=16_384)
def parse_address(text: str) -> Address:
    """Return the address that a text is; raise Invalid for anything else, a port or a zone included."""
    try:
        value = ip_address(text)
    except ValueError:
        raise Invalid("`client_ip` must be an IPv4 or IPv6 address.", field="client_ip") from None
    if isinstance(value, IPv4Address):
        return Address(str(value), value, str(value))
    if value.scope_id is not None:
        raise Invalid("`client_ip` must not name a zone.", field="client_ip")
    if value.ipv4_mapped is not None:
        return parse_address(str(value.ipv4_mapped))
    group = ip_network((value, IPV6_GROUP_BITS), strict=False)
    return Address(str(value), value, str(group))


def parse_networks(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks that a key may be used from; raises ValueError where one is none."""
    return tuple(ip_network(text, strict=False) for text in texts)


def is_within(address: Address, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Tell whether an address lies in one of the networks."""
    return any(address.value in network for network in networks)
