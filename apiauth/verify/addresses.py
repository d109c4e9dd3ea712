"""Client addresses as callers claim them: one spelling each, and the group that limits count by."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

from apiauth.core.errors import Invalid

IPV6_GROUP_BITS = 64  # one customer's network: counting single addresses would count nothing


Network = tuple[int, int, int]
"""The version of its addresses, the first and the last of them as numbers: two comparisons tell who is within."""


class Address(NamedTuple):
    """An address, its one spelling, and the group it is counted in."""

    text: str
    value: IPv4Address | IPv6Address
    group: str
    version: int
    number: int


@lru_cache(maxsize=16_384)
def parse_address(text: str) -> Address:
    """Return the address that a text is; raise Invalid for anything else, a port or a zone included."""
    try:
        value = ip_address(text)
    except ValueError:
        raise Invalid("`client_ip` must be an IPv4 or IPv6 address.", field="client_ip") from None
    if isinstance(value, IPv4Address):
        return Address(str(value), value, str(value), 4, int(value))
    if value.scope_id is not None:
        raise Invalid("`client_ip` must not name a zone.", field="client_ip")
    if value.ipv4_mapped is not None:
        return parse_address(str(value.ipv4_mapped))
    group = ip_network((value, IPV6_GROUP_BITS), strict=False)
    return Address(str(value), value, str(group), 6, int(value))


def parse_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks that a key may be used from; raises ValueError where one is none."""
    return networks_of(ip_network(text, strict=False) for text in texts)


def networks_of(networks: Iterable[IPv4Network | IPv6Network]) -> tuple[Network, ...]:
    """Return networks as `is_within` takes them."""
    return tuple((each.version, int(each.network_address), int(each.broadcast_address)) for each in networks)


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    """Tell whether an address lies in one of the networks."""
    number, own = address.number, address.version
    for version, first, last in networks:  # noqa: SIM110  # a generator takes four times as long
        if first <= number <= last and version == own:
            return True
    return False
