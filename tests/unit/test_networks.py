"""A range has one spelling, in which it holds those it names; what is left of an address is not whose it is."""

import re
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiauth.core.errors import Invalid
from apiauth.core.networks import client_range, is_narrower_than_a_network, network_around, network_of
from apiauth.verify.addresses import is_within, parse_address, parse_networks

ADDRESSES = (
    st.ip_addresses(v=4) | st.ip_addresses(v=6) | st.ip_addresses(v=4).map(lambda each: ip_address(f"::ffff:{each}"))
)


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


@pytest.mark.parametrize(
    ("text", "spelling"),
    [
        ("203.0.113.9", "203.0.113.9/32"),
        ("203.0.113.9/32", "203.0.113.9/32"),
        ("2001:DB8:0::/32", "2001:db8::/32"),
        ("::ffff:203.0.113.9", "203.0.113.9/32"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_a_range_has_one_spelling(text: str, spelling: str) -> None:
    assert client_range(text, field="allowed_cidrs") == spelling


@pytest.mark.parametrize(
    "text", ["fe80::1%eth0", "fe80::1%" + "a" * 40, "fe80::%1/64", "203.0.113.9/33", "::1/129", "", "all", "1"]
)
def test_what_is_no_range_of_clients_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=r"isn't a valid address range"):
        client_range(text, field="allowed_cidrs")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("10.1.2.3/8", "has host bits set. Did you mean 10.0.0.0/8, or 10.1.2.3 alone?"),
        ("203.0.113.9/0", "Did you mean 0.0.0.0/0, or 203.0.113.9 alone?"),
        ("2001:DB8::9/32", "Did you mean 2001:db8::/32, or 2001:db8::9 alone?"),
        ("::ffff:10.1.2.3/104", "Did you mean 10.0.0.0/8"),
        ("10.0.0.1/0.0.0.0", "has a netmask. Write how many bits it has"),
        ("203.0.113.0/255.255.255.0", "has a netmask"),
        ("203.0.113.0/0.0.0.255", "has a netmask"),
    ],
)
def test_a_range_that_would_come_out_wider_than_it_reads_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(Invalid, match=re.escape(sentence)) as refusal:
        client_range(text, field="allowed_cidrs")
    assert refusal.value.field == "allowed_cidrs"


@given(ADDRESSES, ADDRESSES, st.integers(0, 128))
def test_a_range_holds_the_callers_that_it_names_and_no_others(network, client, bits) -> None:  # type: ignore[no-untyped-def]
    bits = min(bits, network.max_prefixlen)
    is_mapped = network.version == 6 and network.ipv4_mapped is not None
    named = ip_network(f"{network}/{bits}", strict=False)
    if is_mapped and bits < 96:
        return  # wider than all of IPv4: such callers come as IPv4 and are not meant by what begins before them
    caller = parse_address(str(client))
    spelled = ip_address(f"::ffff:{caller.text}") if is_mapped and caller.version == 4 else ip_address(caller.text)
    assert is_within(caller, parse_networks([client_range(str(named), field="range")])) == (spelled in named)


@pytest.mark.parametrize(
    ("address_range", "left"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("203.0.113.128/25", "203.0.113.0/24"),
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("203.0.0.0/16", "203.0.0.0/16"),
        ("2001:db8:0:8000::/49", "2001:db8::/48"),
        ("2001:db8::/48", "2001:db8::/48"),
    ],
)
def test_a_part_of_a_network_is_narrower_than_what_is_left_of_an_address(address_range: str, left: str) -> None:
    assert is_narrower_than_a_network(address_range) is (address_range != left)
    assert network_around(address_range) == left
