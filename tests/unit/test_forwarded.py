"""Who asks is told by proxies that are trusted, and by nobody else."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiauth.http.forwarded import Networks, caller_of

NEAR, FAR = "10.0.0.5", "10.9.9.9"  # the proxy that asks us, and the one that asks it
TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
CALLER = "203.0.113.24"


@pytest.mark.parametrize("trusted", [(), (ip_network("192.0.2.0/24"),)], ids=["nobody", "somebody else"])
def test_where_the_one_who_asks_is_not_trusted_its_word_counts_for_nothing(trusted: Networks) -> None:
    assert caller_of(NEAR, f"{CALLER}, {FAR}", trusted) == NEAR


@pytest.mark.parametrize(
    ("peer", "forwarded"),
    [
        (NEAR, CALLER),
        (NEAR, f"{CALLER}, {FAR}"),
        (NEAR, f" {CALLER} ,{FAR} "),
        ("fd00::5", f"{CALLER},{FAR}"),
        (f"::ffff:{NEAR}", f"::ffff:{CALLER}, ::ffff:{FAR}"),
    ],
    ids=["one hop", "two hops", "spaces", "a proxy in IPv6", "IPv4 within IPv6"],
)
def test_the_caller_is_whom_the_outermost_trusted_proxy_saw(peer: str, forwarded: str) -> None:
    assert caller_of(peer, forwarded, TRUSTED) == CALLER


def test_a_caller_in_ipv6_has_one_spelling() -> None:
    assert caller_of(NEAR, "2001:DB8:0::0009", TRUSTED) == "2001:db8::9"


def test_what_a_stranger_put_in_front_gives_it_no_second_address() -> None:
    forged = ["1.1.1.1", "198.51.100.7", FAR, NEAR, "127.0.0.1", "garbage", ""]
    assert {caller_of(NEAR, f"{entry}, {CALLER}, {FAR}", TRUSTED) for entry in forged} == {CALLER}


@pytest.mark.parametrize("entry", ["", "unknown", "203.0.113.24:4711", "[2001:db8::9]:443", "fe80::1%eth0", "1.2.3"])
def test_where_a_trusted_proxy_names_no_address_the_caller_is_that_proxy(entry: str) -> None:
    assert caller_of(NEAR, entry, TRUSTED) == NEAR
    assert caller_of(NEAR, f"{CALLER}, {entry}, {FAR}", TRUSTED) == FAR


def test_a_peer_without_an_address_is_trusted_by_nobody() -> None:
    assert caller_of("", CALLER, (ip_network("0.0.0.0/0"), ip_network("::/0"))) == ""


STRANGERS = (
    st.ip_addresses()
    .map(lambda each: getattr(each, "ipv4_mapped", None) or each)
    .filter(lambda each: not any(each in network for network in TRUSTED))
)
PROXIES = st.ip_addresses(network="10.0.0.0/8").map(str) | st.ip_addresses(network="fd00::/8").map(str)
FORGED = st.lists(st.text(max_size=20) | st.ip_addresses().map(str) | PROXIES, max_size=5).map(", ".join)


@given(FORGED, STRANGERS, st.lists(PROXIES, min_size=1, max_size=4))
def test_whatever_a_stranger_puts_in_front_it_is_known_by_the_address_it_asked_from(
    forged: str, stranger: IPv4Address | IPv6Address, hops: list[str]
) -> None:
    *others, peer = hops
    assert caller_of(peer, ", ".join([forged, str(stranger), *others]), TRUSTED) == str(stranger)
