"""The document of a policy: strict where it is read, and the same after it was written."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiauth.core.errors import Invalid
from apiauth.core.policy import (
    MOST_DAYS,
    AuditPolicy,
    ExpiryMode,
    ExpiryPolicy,
    Policy,
    RevocationPolicy,
    RotationMode,
    RotationPolicy,
    ScopePolicy,
    WhenOverdue,
    read_policy,
)
from apiauth.core.roles import PRESETS, Action, Authority, Role, about_key, may, preset_name, reachable
from apiauth.core.scope import Scope

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
days = st.integers(1, MOST_DAYS)
roles = st.sampled_from(Role)
authorities = st.builds(Authority, **{action.value: roles for action in Action})
moments = st.integers(946_684_800, 4_102_444_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
mandatory = days.flatmap(
    lambda longest: st.builds(
        ExpiryPolicy,
        mode=st.just(ExpiryMode.MANDATORY),
        longest_days=st.just(longest),
        default_days=st.none() | st.integers(1, longest),
    )
)
required = st.builds(
    RotationPolicy,
    mode=st.just(RotationMode.REQUIRED),
    every_days=days,
    grace_days=st.integers(0, 365),
    when_overdue=st.sampled_from(WhenOverdue),
    enforced_from=st.none() | moments,
)
rotations = st.just(RotationPolicy()) | required
policies = st.builds(
    Policy,
    scope=st.builds(ScopePolicy, model=st.sampled_from(Scope), keys_outlive_creator=st.booleans()),
    authority=authorities,
    expiry=st.just(ExpiryPolicy()) | mandatory,
    rotation=rotations,
    revocation=st.builds(RevocationPolicy, undo_minutes=st.integers(0, 10)),
    audit=st.builds(
        AuditPolicy,
        keep_days=st.none() | st.integers(7, MOST_DAYS),
        staff_see_addresses=st.booleans(),
        staff_see_user_agents=st.booleans(),
    ),
)


@given(policies)
def test_a_policy_is_the_same_after_it_was_written_and_read(policy: Policy) -> None:
    assert read_policy(policy.document()) == policy
    assert read_policy(msgspec.json.decode(msgspec.json.encode(policy.document()))) == policy


def test_the_empty_document_locks_nothing() -> None:
    policy = read_policy({})
    assert policy == Policy()
    assert policy.scope.model is Scope.APP
    assert policy.expiry.granted(None, NOW) is None
    assert policy.rotation.due_at(NOW) is None
    assert reachable(policy.authority, Role.MEMBER) == [
        Action.SEE,
        Action.CREATE,
        Action.RENAME,
        Action.ROTATE_OWN,
        Action.ROTATE_ANY,
        Action.EXPORT,
        Action.SEE_ADDRESSES,
        Action.SEE_USER_AGENTS,
        Action.SEE_ACTIVITY,
    ]


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (None, "policy"),
        ([], "policy"),
        ({"colour": "red"}, "policy"),
        ({"scope": "user"}, "policy.scope"),
        ({"scope": {"model": "planet"}}, "policy.scope.model"),
        ({"authority": "anarchy"}, "policy.authority"),
        ({"authority": {"see": "king"}}, "policy.authority.see"),
        ({"authority": {"fly": "owner"}}, "policy.authority"),
        ({"expiry": {"mode": "mandatory"}}, "policy.expiry"),
        ({"expiry": {"longest_days": 30}}, "policy.expiry"),
        ({"expiry": {"mode": "mandatory", "longest_days": 30, "default_days": 31}}, "policy.expiry"),
        ({"expiry": {"mode": "mandatory", "longest_days": 0}}, "policy.expiry.longest_days"),
        ({"expiry": {"mode": "mandatory", "longest_days": True}}, "policy.expiry.longest_days"),
        ({"expiry": {"mode": "mandatory", "longest_days": 3651}}, "policy.expiry.longest_days"),
        ({"rotation": {"mode": "required"}}, "policy.rotation"),
        ({"rotation": {"every_days": 30}}, "policy.rotation"),
        ({"rotation": {"grace_days": -1}}, "policy.rotation.grace_days"),
        ({"rotation": {"enforced_from": "2026-01-01T00:00:00"}}, "policy.rotation.enforced_from"),
        ({"rotation": {"enforced_from": "0001-01-01T00:00:00Z"}}, "policy.rotation"),
        ({"revocation": {"undo_minutes": 11}}, "policy.revocation.undo_minutes"),
        ({"audit": {"keep_days": 6}}, "policy.audit.keep_days"),
        ({"audit": {"staff_see_addresses": 1}}, "policy.audit.staff_see_addresses"),
        ({"audit": {"staff_see_user_agents": 1}}, "policy.audit.staff_see_user_agents"),
    ],
)
def test_a_document_that_cannot_be_used_names_the_place(document: object, place: str) -> None:
    with pytest.raises(Invalid) as refusal:
        read_policy(document)
    assert refusal.value.field == place
    assert refusal.value.message.endswith(".")


@pytest.mark.parametrize(
    "document",
    [
        {"n" * 5000: 1},
        {"scope": {"n" * 5000: 1}},
        {"scope": {"model": "n" * 5000}},
        {"a` - at `$.scope." + "n" * 5000: 1},
        {"a\x00b\nc\x1b[31m\u202e": 1},
        {"scope": {"a\r\nb": 1}},
    ],
)
def test_what_is_repeated_of_a_document_is_short_and_can_be_shown(document: object) -> None:
    with pytest.raises(Invalid) as refusal:
        read_policy(document)
    for text in (refusal.value.message, refusal.value.field or ""):
        assert text.isprintable()
        assert len(text) < 500
    assert (refusal.value.field or "").startswith("policy")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.dictionaries(
            st.sampled_from([*Policy.__struct_fields__, *RotationPolicy.__struct_fields__, "x"]), inner
        ),
        max_leaves=8,
    )
)
def test_whatever_is_sent_is_a_policy_or_refused(document: object) -> None:
    try:
        policy: Policy | None = read_policy(document)
    except Invalid as refusal:
        place = refusal.field or ""
        policy = None
    assert policy is not None or place.startswith("policy")


def test_the_matrix_has_every_action_and_no_other() -> None:
    assert list(Authority.__struct_fields__) == [action.value for action in Action]


@given(authorities, st.sampled_from(Action))
def test_a_higher_role_reaches_whatever_a_lower_one_does(authority: Authority, action: Action) -> None:
    reaching = [may(authority, role, action) for role in Role]
    assert reaching == sorted(reaching)
    assert reaching[-1], "an owner reaches everything"


@given(authorities, roles, st.sampled_from(Action))
def test_who_may_touch_any_key_may_touch_their_own(authority: Authority, role: Role, action: Action) -> None:
    if may(authority, role, about_key(action, is_own=False)):
        assert may(authority, role, about_key(action, is_own=True))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_known_by_its_name(name: str) -> None:
    assert read_policy({"authority": name}).authority == PRESETS[name]
    assert preset_name(PRESETS[name]) == name


def test_only_owners_override_where_the_policy_says_owner_only() -> None:
    for action in (Action.ROTATE_OWN, Action.DISABLE_OWN, Action.REVOKE_OWN):
        for name, least in (("admin_override", Role.ADMIN), ("owner_only", Role.OWNER)):
            assert PRESETS[name].least_role(action) is Role.MEMBER
            assert PRESETS[name].least_role(about_key(action, is_own=False)) is least


@given(mandatory, st.integers(1, 2 * MOST_DAYS))
def test_a_mandatory_end_lies_within_the_longest(expiry: ExpiryPolicy, wanted: int) -> None:
    latest = expiry.latest(NOW)
    assert latest is not None
    asked = NOW + timedelta(days=wanted)
    if asked <= latest:
        assert expiry.granted(asked, NOW) == asked
    else:
        with pytest.raises(Invalid):
            expiry.granted(asked, NOW)
    assert expiry.cut(asked, NOW) == min(asked, latest)
    assert expiry.cut(None, NOW) == latest


def test_a_key_without_an_end_gets_the_default_or_is_refused() -> None:
    kind = {"mode": ExpiryMode.MANDATORY, "longest_days": 90}
    assert ExpiryPolicy(**kind, default_days=30).granted(None, NOW) == NOW + timedelta(days=30)
    with pytest.raises(Invalid) as refusal:
        ExpiryPolicy(**kind).granted(None, NOW)
    assert refusal.value.field == "expires_at"


@given(required, moments)
def test_the_gateway_and_the_pages_mean_the_same_moment(rotation: RotationPolicy, created: datetime) -> None:
    blocks = rotation.blocks_at(created)
    in_ms = rotation.blocks_at_ms(round(created.timestamp() * 1000))
    assert (blocks is None) == (in_ms is None)
    if blocks is not None and in_ms is not None:
        assert abs(blocks.timestamp() * 1000 - in_ms) <= 1


@given(rotations, rotations, moments)
def test_a_policy_that_is_not_tighter_makes_no_key_due_earlier(
    present: RotationPolicy, wanted: RotationPolicy, created: datetime
) -> None:
    present, wanted = (msgspec.structs.replace(each, enforced_from=None) for each in (present, wanted))
    if wanted.is_tighter_than(present):
        return
    for moment in (RotationPolicy.due_at, RotationPolicy.blocks_at):
        before, after = moment(present, created), moment(wanted, created)
        assert after is None or (before is not None and after >= before)
