"""Who is within which network, told by numbers, is what the standard library tells."""

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from apiauth.core.limits import LimitRule, Mode, Unit
from apiauth.verify.addresses import is_within, parse_address, parse_networks
from apiauth.verify.entries import App, Key
from apiauth.verify.prepared import RecentClaims, claims_of, prepare

ADDRESSES = st.ip_addresses().map(str)
NEIGHBOURS = st.sampled_from(["0.0.0.0", "::", "10.0.0.1", "10.0.0.2", "::1", "::a00:1", "255.255.255.255"])


@st.composite
def networks(draw):
    text = draw(ADDRESSES | NEIGHBOURS)
    return f"{text}/{draw(st.integers(0, 128 if ':' in text else 32))}"


@given(ADDRESSES | NEIGHBOURS, st.lists(networks(), max_size=5))
def test_an_address_is_within_the_networks_that_hold_it(text, listed):
    address = parse_address(text)
    expected = any(address.value in ip_network(each, strict=False) for each in listed)
    assert is_within(address, parse_networks(listed)) == expected


def app_with(*rules: LimitRule) -> App:
    return App(1, 2, "aa_1", "acme", True, False, 3, None, None, None, 1, rules=rules)


RULES = st.lists(
    st.builds(
        LimitRule,
        id=st.sampled_from("abc"),
        unit=st.just(Unit.MINUTE),
        duration=st.just(1),
        max_requests=st.just(9),
        mode=st.sampled_from(Mode),
        endpoints=st.none() | st.just(("/a",)),
    ),
    max_size=3,
)
CALLS = st.lists(st.tuples(st.integers(0, 1), st.sampled_from(["/a", "/b"]), NEIGHBOURS), max_size=20)


@given(RULES, CALLS, st.integers(1, 4))
def test_late_claims_are_those_that_would_be_worked_out_anew(rules, calls, most):
    keys = [Key(4 + n, 2, 1, "ci", b"", (), "{}", (), None, False, False, None, 0, 1) for n in range(2)]
    recent = RecentClaims(most)
    for app in (app_with(*rules), app_with(*rules[1:])):
        prepared = [prepare(key, app) for key in keys]
        for number, path, text in calls:
            client = parse_address(text)
            found = recent.of(keys[number], prepared[number], path, client)
            assert found == claims_of(keys[number], prepared[number], path, client)
