"""What is left of an address says where it is, not whose it is."""

import pytest

from apiauth.core.networks import network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.24", "203.0.113.0/24"),
        ("2001:db8:1:2::9", "2001:db8:1::/48"),
        ("::ffff:203.0.113.24", "203.0.113.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("testserver", ""),
        ("", ""),
    ],
)
def test_an_address_becomes_its_network(address: str, network: str) -> None:
    assert network_of(address) == network
