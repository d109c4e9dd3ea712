"""The limits of one key: what they may say, and that they only ever make it tighter than its app."""

import itertools

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apiauth.core.errors import Invalid
from apiauth.core.key_limits import load_key_rules, parse_key_rules
from apiauth.core.limits import BUILT_IN, Mode, Unit, load_rules, parse_rules
from apiauth.verify.addresses import parse_address
from apiauth.verify.entries import App, Key
from apiauth.verify.limiter import ADMITTED, Limiter
from apiauth.verify.prepared import claims_of, prepare

MINUTE = {"unit": "minute", "duration": 1, "max_requests": 60}
DAY = {"unit": "day", "duration": 1, "max_requests": 60}
NOW_MS = 1_800_000_000_000


def parsed(*limits, app=(), known=()):
    return parse_key_rules(limits, app_rules=parse_rules(app) if app else (BUILT_IN,), known=known)


def test_a_limit_counts_the_key_unless_it_says_otherwise():
    assert [rule.mode for rule in parsed(MINUTE, {**MINUTE, "mode": "per_key_and_ip"})] == ["per_key", "per_key_and_ip"]


@pytest.mark.parametrize("mode", [Mode.PER_APP, Mode.PER_IP, Mode.PER_APP_AND_IP])
def test_a_limit_counts_nobody_elses_calls(mode):
    with pytest.raises(Invalid) as refused:
        parsed(MINUTE, {**MINUTE, "mode": mode})
    assert refused.value.field == "limits[1].mode"


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("60/60s", "limits"),
        ({}, "limits"),
        (None, "limits"),
        ([MINUTE] * 6, "limits"),
        ([7], "limits[0]"),
        ([{**MINUTE, "unit": "fortnight"}], "limits[0].unit"),
        ([{**MINUTE, "duration": 1441}], "limits[0].duration"),
        ([{**MINUTE, "max_requests": 0}], "limits[0].max_requests"),
        ([{**MINUTE, "endpoints": ["v1"]}], "limits[0].endpoints[0]"),
        ([{**MINUTE, "id": "a"}, {**DAY, "id": "a"}], "limits[1].id"),
    ],
)
def test_what_is_no_list_of_at_most_five_rules_is_refused_by_its_field(value, field):
    with pytest.raises(Invalid) as refused:
        parse_key_rules(value, app_rules=(BUILT_IN,))
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("app", "limit"),
    [
        ({"mode": "per_key"}, {}),
        ({"mode": "per_app"}, {}),
        ({"mode": "per_key"}, {"endpoints": ["/v1/a"]}),
        ({"mode": "per_key", "endpoints": ["/v1/a", "/v1/b"]}, {"endpoints": ["/v1/b"]}),
        ({"mode": "per_key"}, {"mode": "per_key_and_ip"}),
        ({"mode": "per_ip"}, {"mode": "per_key_and_ip"}),
        ({"mode": "per_key", "unit": "day"}, {"unit": "calendar_day"}),
        ({"mode": "per_key", "unit": "day"}, {"unit": "hour", "duration": 24}),
        ({"mode": "per_key", "unit": "month"}, {"unit": "calendar_month"}),
    ],
    ids=str,
)
def test_a_limit_that_its_app_would_always_reach_first_is_refused(app, limit):
    app_rule = {**MINUTE, "max_requests": 59, **app}
    with pytest.raises(Invalid, match="59 or less") as refused:
        parsed({**MINUTE, **limit}, app=[app_rule])
    assert refused.value.field == "limits[0].max_requests"
    assert parsed({**MINUTE, **limit, "max_requests": 59}, app=[app_rule])


@pytest.mark.parametrize(
    ("app", "limit"),
    [
        ({"mode": "per_key", "endpoints": ["/v1/a"]}, {}),
        ({"mode": "per_key", "endpoints": ["/v1/a"]}, {"endpoints": ["/v1/a", "/v1/b"]}),
        ({"mode": "per_key_and_ip"}, {}),
        ({"mode": "per_key", "duration": 2}, {}),
        ({"mode": "per_key", "unit": "day", "duration": 30}, {"unit": "month"}),
    ],
    ids=str,
)
def test_a_limit_that_can_be_reached_before_its_apps_is_taken(app, limit):
    assert parsed({**MINUTE, **limit}, app=[{**MINUTE, "max_requests": 59, **app}])


def test_an_app_without_a_scheme_bounds_its_keys_by_the_built_in_limit():
    with pytest.raises(Invalid, match="choose 1,000 or less"):
        parsed({**MINUTE, "max_requests": 1001})


def test_a_limit_that_comes_again_is_the_same_one_even_if_the_app_got_tighter():
    known = parsed(MINUTE, DAY)
    without_ids = [MINUTE, {**DAY, "mode": "per_key"}]
    tighter = [{**MINUTE, "mode": "per_key", "max_requests": 1}]
    assert parsed(*without_ids, app=tighter, known=known) == known
    assert parsed(*(rule.as_json() for rule in known), app=tighter, known=known) == known
    again = parsed(MINUTE, MINUTE, known=known)
    assert len({rule.id for rule in again} - {known[0].id}) == 1, "a second one like it is another"


WINDOW = {"unit": "day", "duration": 30}
RULES = st.fixed_dictionaries(
    {"max_requests": st.integers(1, 6), "mode": st.sampled_from(["per_key", "per_key_and_ip"])},
    optional={"endpoints": st.lists(st.sampled_from(["/v1/a", "/v1/b", "*"]), min_size=1, max_size=2)},
).map(lambda rule: {**WINDOW, **rule})
CALLS = st.lists(st.tuples(st.sampled_from(["/v1/a", "/v1/b"]), st.sampled_from(["192.0.2.1", "192.0.2.2"])))
KEY_IDS = itertools.count(1)


@pytest.fixture
def limiter(tmp_path):
    limiter = Limiter(tmp_path, slots=1 << 17)
    yield limiter
    limiter.close()


def snapshot_of(app_rules, limits):
    nobody = {"user_id": None, "organization_id": None, "workspace_id": None}
    app = App(id=1, deployment_id=1, slug="a", key_prefix="nw", is_active=True, is_deleted=False, scheme_id=7,
              change_xid=1, rules=load_rules(app_rules), **nobody)  # fmt: skip
    written = msgspec.json.encode(limits).decode()
    state = {"expires_ms": None, "is_revoked": False, "is_disabled": False, "overlap_ends_ms": None}
    key = Key(id=next(KEY_IDS), deployment_id=1, app_id=1, name="k", digest=b"", permissions=(), metadata="{}",
              allowed_cidrs=(), created_ms=NOW_MS, change_xid=1, limits=written, **state)  # fmt: skip
    return key, app


@given(st.lists(RULES, min_size=1, max_size=3), st.lists(RULES, max_size=3), CALLS)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_key_is_never_let_through_more_often_than_its_app_or_its_own_limits_allow(limiter, app_rules, limits, calls):
    own, theirs = (
        [{**rule, "id": str(number)} for number, rule in enumerate(rules)] for rules in (limits, app_rules)
    )  # the same ids on both sides
    key, app = snapshot_of(theirs, own)
    rules = [*theirs, *own]
    prepared = prepare(key, app)
    passed = []
    for path, address in calls:
        claims = prepared.claims
        if claims is None:
            claims = claims_of(key, prepared, path, parse_address(address))
        fits = all(_used(rule, passed, address) < rule["max_requests"] for rule in rules if _covers(rule, path))
        admitted = limiter.take(claims, NOW_MS)[0] == ADMITTED
        assert admitted == fits, "as long as every limit has room, and no longer"
        passed += [(path, address)] if admitted else []


def _covers(rule, path):
    return not rule.get("endpoints") or bool({path, "*"} & set(rule["endpoints"]))


def _used(rule, passed, address):
    of_address = [call for call in passed if rule["mode"] == "per_key" or call[1] == address]
    return sum(_covers(rule, path) for path, _ in of_address)


def test_a_limit_that_reads_like_one_of_its_app_is_named_with_its_id():
    [own] = load_key_rules([{**MINUTE, "mode": "per_key", "id": "x"}], load_rules([MINUTE]))
    assert own.name == "60/60s x"
    assert own.unit is Unit.MINUTE
