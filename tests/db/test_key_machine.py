"""Keys live under policies that change: after any steps, services, status and the gateway's rules agree with a model.

The model below knows no database and no code of ours. `KEYSTEAD_DEEP=1` walks many more, and longer, lives.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from apiauth.core import clock
from apiauth.core.actor import Actor
from apiauth.core.errors import Conflict, Invalid, KeysteadError
from apiauth.core.policy import read_policy
from apiauth.models import ActivityEntry, App, Key
from apiauth.services import activity, apps, deployments, key_edits, keys, policies
from apiauth.verify.prepared import state_facts
from apiauth.verify.rules import decide
from tests.support.races import at_once

ACTOR = Actor(kind="command", id="test", name="Test", via="command")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MILLISECOND = timedelta(milliseconds=1)
FOREVER = 10_000
LIVES = [None, HOUR, 3 * DAY, 60 * DAY]
OVERLAPS = [timedelta(0), HOUR, 30 * DAY]
OFF_BY = [-MILLISECOND, timedelta(0), MILLISECOND]
JUMPS = [timedelta(seconds=1), timedelta(minutes=10), HOUR, DAY, 7 * DAY, 30 * DAY]


@dataclass(frozen=True)
class ModelPolicy:
    longest: int | None = None
    default: int | None = None
    every: int | None = None
    grace: int = 0
    blocks: bool = False
    undo: int = 0

    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"revocation": {"undo_minutes": self.undo}}
        if self.longest:
            document["expiry"] = {"mode": "mandatory", "longest_days": self.longest, "default_days": self.default}
        if self.every:
            overdue = "block" if self.blocks else "mark"
            rotation = {"every_days": self.every, "grace_days": self.grace, "when_overdue": overdue}
            document["rotation"] = {"mode": "required", **rotation}
        return document

    @property
    def due_after(self) -> int:
        return self.every or FOREVER

    @property
    def blocks_after(self) -> int:
        return self.every + self.grace if self.every and self.blocks else FOREVER


POLICIES = [
    ModelPolicy(),
    ModelPolicy(undo=10),
    ModelPolicy(longest=30),
    ModelPolicy(longest=90, default=10, undo=5),
    ModelPolicy(every=30, grace=2, blocks=True, undo=10),
    ModelPolicy(every=10, blocks=True),
    ModelPolicy(longest=30, default=30, every=60, grace=5),
]


@dataclass
class Plan:
    """The end that a policy gives from `applies` on, and the one that comes back where it is loosened before."""

    previous: datetime | None
    end: datetime
    applies: datetime


@dataclass
class ModelKey:
    pk: int
    made: datetime
    expires: datetime | None
    is_disabled: bool = False
    revoked: datetime | None = None
    rotated: datetime | None = None
    overlap_ends: datetime | None = None
    plan: Plan | None = None

    def status(self, now: datetime) -> str:
        if self.revoked:
            return "revoked"
        if self.is_disabled:
            return "disabled"
        if self.overlap_ends and self.overlap_ends <= now:
            return "rotated_out"
        if self.expires and self.expires <= now:
            return "expired"
        return "in_grace" if self.rotated else "active"


class Life(RuleBasedStateMachine):
    """Steps that anybody can take, each with what must come of it."""

    @initialize(policy=st.sampled_from(POLICIES))
    def begin(self, policy: ModelPolicy) -> None:
        self.now = clock.from_ms(clock.to_ms(clock.now())) + DAY  # ahead: the database bounds an undo by its own clock
        deployment = deployments.create_deployment(name="N", allowed_origins=[], actor=ACTOR, now=self.now)
        fields = {"slug": "aa_1", "name": "Maps", "key_prefix": "nw_live"}
        self.app = apps.create_app(deployment_id=deployment.pk, fields=fields, actor=ACTOR, now=self.now)
        self.policy, self.enforced = ModelPolicy(), None
        self.keys: list[ModelKey] = []
        self.steps = 0
        self.change_policy(policy, timedelta(0))
        self.create(HOUR)

    def attempt(self, is_allowed: bool, service: Callable[..., Any], **given: Any) -> Any:
        """Call a service; fail where it does what it must not, or refuses what it must do."""
        try:
            answer = service(app_id=self.app.pk, actor=ACTOR, now=self.now, **given)
        except KeysteadError:
            if is_allowed:
                raise
            return None
        assert is_allowed, f"{service.__name__} went through"
        self.steps += 1
        return answer

    def pick(self, number: int) -> ModelKey:
        return self.keys[number % len(self.keys)]

    @rule(by=st.sampled_from(JUMPS))
    def wait(self, by: timedelta) -> None:
        self.now += by

    @precondition(lambda self: self.keys)
    @rule(
        number=st.integers(0, 99), which=st.integers(0, 99), off=st.sampled_from([-MILLISECOND, 0 * DAY, MILLISECOND])
    )
    def wait_for_a_boundary(self, number: int, which: int, off: timedelta) -> None:
        key = self.pick(number)
        moments = [
            moment for moment in (key.expires, key.overlap_ends, self.undo_ends(key), self.blocks(key)) if moment
        ]
        ahead = [moment + off for moment in moments if moment + off > self.now]
        if ahead:
            self.now = ahead[which % len(ahead)]

    @rule(life=st.sampled_from(LIVES))
    def create(self, life: timedelta | None) -> None:
        asked = self.now + life if life else None
        end, is_allowed = asked, True
        if self.policy.longest:
            latest = self.now + self.policy.longest * DAY
            end = asked or (self.now + self.policy.default * DAY if self.policy.default else None)
            is_allowed = end is not None and end <= latest
        issued = self.attempt(is_allowed, keys.create_key, name="k", expires_at=asked)
        if issued:
            self.keys.append(ModelKey(issued.key.pk, self.now, end))

    @precondition(lambda self: self.keys)
    @rule(number=st.integers(0, 99), overlap=st.sampled_from(OVERLAPS))
    def rotate(self, number: int, overlap: timedelta) -> None:
        key = self.pick(number)
        issued = self.attempt(key.status(self.now) == "active", keys.rotate_key, key_id=key.pk, overlap=overlap)
        if issued:
            latest = self.now + self.policy.longest * DAY if self.policy.longest else None
            end = min((moment for moment in (key.expires, latest) if moment), default=None)
            key.rotated, key.overlap_ends = self.now, self.now + overlap
            self.keys.append(ModelKey(issued.key.pk, self.now, end))

    @precondition(lambda self: self.keys)
    @rule(number=st.integers(0, 99))
    def disable(self, number: int) -> None:
        key = self.pick(number)
        if self.attempt(key.status(self.now) in ("active", "in_grace"), keys.disable_key, key_id=key.pk):
            key.is_disabled = True

    @precondition(lambda self: self.keys)
    @rule(number=st.integers(0, 99))
    def enable(self, number: int) -> None:
        key = self.pick(number)
        if self.attempt(key.status(self.now) == "disabled", keys.enable_key, key_id=key.pk):
            key.is_disabled = False

    @precondition(lambda self: self.keys)
    @rule(number=st.integers(0, 99))
    def revoke(self, number: int) -> None:
        key = self.pick(number)
        is_allowed = key.status(self.now) not in ("revoked", "rotated_out")
        if self.attempt(is_allowed, keys.revoke_key, key_id=key.pk):
            key.revoked = self.now

    @precondition(lambda self: self.keys)
    @rule(number=st.integers(0, 99))
    def undo(self, number: int) -> None:
        key = self.pick(number)
        until, ends = self.undo_ends(key), [moment for moment in (key.expires, key.overlap_ends) if moment]
        is_allowed = until is not None and self.now < until and all(self.now < end for end in ends)
        if self.attempt(is_allowed, keys.undo_revoke, key_id=key.pk):
            key.revoked = None

    @precondition(lambda self: self.keys and self.policy.undo)
    @rule(number=st.integers(0, 99), off=st.sampled_from(OFF_BY))
    def revoke_and_undo_at_the_last_moment(self, number: int, off: timedelta) -> None:
        self.revoke(number)
        until = self.undo_ends(self.pick(number))
        if until and until + off > self.now:
            self.now = until + off
        self.undo(number)

    @precondition(lambda self: self.keys)
    @rule(number=st.integers(0, 99), by=st.sampled_from([*JUMPS, *(-jump for jump in JUMPS), timedelta(0)]))
    def change_overlap(self, number: int, by: timedelta) -> None:
        key = self.pick(number)
        until = (key.overlap_ends or self.now) + by
        is_allowed = (
            key.status(self.now) == "in_grace"
            and key.rotated is not None
            and self.now <= until <= key.rotated + 30 * DAY
            and (key.expires is None or until <= key.expires)
        )
        if self.attempt(is_allowed, keys.change_overlap, key_id=key.pk, until=until):
            self.steps -= until == key.overlap_ends  # no change, no entry
            key.overlap_ends = until

    @precondition(lambda self: self.keys)
    @rule(number=st.integers(0, 99))
    def end(self, number: int) -> None:
        key = self.pick(number)
        if self.attempt(key.status(self.now) == "in_grace", keys.end_overlap, key_id=key.pk):
            key.overlap_ends = self.now

    @precondition(lambda self: self.keys)
    @rule(number=st.integers(0, 99), life=st.sampled_from(LIVES))
    def edit(self, number: int, life: timedelta | None) -> None:
        key, end = self.pick(number), self.now + life if life else None
        latest = key.made + self.policy.longest * DAY if self.policy.longest else None
        fits = end == key.expires or latest is None or (end is not None and end <= max(latest, key.expires or latest))
        is_allowed = fits and key.status(self.now) in ("active", "in_grace", "disabled")
        # A disabled key whose end has passed can be given another: nothing but the switch decides what it is.
        if self.attempt(is_allowed, key_edits.edit_key, key_id=key.pk, changes={"expires_at": end}):
            self.steps -= end == key.expires  # no change, no entry
            key.expires = end

    @rule(policy=st.sampled_from(POLICIES), after=st.sampled_from([0 * DAY, DAY, 7 * DAY]))
    def change_policy(self, policy: ModelPolicy, after: timedelta) -> None:
        applies, before = self.now + after, self.policy
        is_tighter = policy.due_after < before.due_after or policy.blocks_after < before.blocks_after
        policies.set_policy(
            deployment_id=self.app.deployment_id,
            slug=self.app.slug,
            policy=read_policy(policy.document()),
            applies_at=applies,
            actor=ACTOR,
            now=self.now,
        )
        if is_tighter or (self.enforced and self.enforced > self.now):
            self.enforced = applies
        self.policy, self.enforced = policy, self.enforced if policy.every else None
        self.move_ends(before.longest or FOREVER, policy.longest or FOREVER, applies)

    def move_ends(self, longest_before: int, longest: int, applies: datetime) -> None:
        for key in self.keys:
            before = key.expires
            plan = key.plan if key.plan and key.plan.applies > self.now and key.plan.end == key.expires else None
            latest = key.made + longest * DAY if longest != FOREVER else None
            is_final = key.revoked and key.revoked <= self.now - timedelta(minutes=10)
            if is_final or (key.overlap_ends and key.overlap_ends <= self.now):
                continue
            if longest < longest_before and latest:
                end = max(latest, applies)
                if key.expires is None or key.expires > end:
                    key.plan = Plan(plan.previous if plan else key.expires, end, applies)
                    key.expires = end
            if longest >= longest_before and plan:
                moment = applies if longest == longest_before else plan.applies
                bound = [max(latest, moment)] if latest else []
                key.expires = min([*bound, *([plan.previous] if plan.previous else [])], default=None)
                key.plan = Plan(plan.previous, key.expires, moment) if key.expires else None
            self.steps += key.expires != before  # each has its entry

    def undo_ends(self, key: ModelKey) -> datetime | None:
        return key.revoked + timedelta(minutes=self.policy.undo) if key.revoked and self.policy.undo else None

    def blocks(self, key: ModelKey) -> datetime | None:
        if self.policy.blocks_after == FOREVER or key.rotated or self.policy.every is None:
            return None
        due = key.made + self.policy.every * DAY
        return max(due, self.enforced or due) + self.policy.grace * DAY

    @invariant()
    def everybody_agrees(self) -> None:
        rows = Key.objects.in_bulk([key.pk for key in getattr(self, "keys", [])])
        for key in getattr(self, "keys", []):
            row, expected = rows[key.pk], key.status(self.now)
            assert (row.status(self.now), row.expires_at) == (expected, key.expires)
            rule_name = {"active": None, "in_grace": None}.get(expected, f"key_{expected}")
            blocks = self.blocks(key)
            if rule_name is None and blocks and blocks <= self.now:
                rule_name = "rotation_overdue"
            assert decide(self.facts(row)) == rule_name

    def facts(self, row: Key) -> Any:
        app = App.objects.get(pk=row.app_id)
        known: Any = SimpleNamespace(
            is_revoked=row.revoked_at is not None,
            is_disabled=row.disabled_at is not None,
            overlap_ends_ms=clock.to_ms(row.overlap_ends_at) if row.overlap_ends_at else None,
            expires_ms=clock.to_ms(row.expires_at) if row.expires_at else None,
            created_ms=clock.to_ms(row.created_at),
        )
        at_gateway: Any = SimpleNamespace(is_active=True, is_deleted=False, rotation=app.policy.rotation)
        return state_facts(known, at_gateway, clock.to_ms(self.now))

    def teardown(self) -> None:
        if not hasattr(self, "app"):
            return
        about_keys = ActivityEntry.objects.filter(app_id=self.app.pk, event__startswith="key.")
        assert about_keys.count() == self.steps  # every change left its entry, and nothing else did
        assert activity.verify_chain(f"app:{self.app.pk}") is None


@pytest.mark.timeout(1800)  # a deep walk takes minutes
@pytest.mark.django_db
def test_status_rules_and_services_agree_with_the_model_through_any_life() -> None:
    examples, steps = (120, 60) if os.environ.get("KEYSTEAD_DEEP") else (40, 50)
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize="KEYSTEAD_DEEP" not in os.environ,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("repetition", range(6))
def test_no_key_slips_past_a_policy_that_is_set_while_it_is_edited_or_brought_back(
    app: App, make_key: Callable[..., keys.IssuedKey], actor: Actor, now: datetime, repetition: int
) -> None:
    App.objects.filter(pk=app.pk).update(policy=read_policy({"revocation": {"undo_minutes": 10}}))
    edited, back = make_key(now=now).key, make_key(now=now).key
    where = {"app_id": app.pk, "actor": actor, "now": now}
    keys.revoke_key(key_id=back.pk, **where)
    undo = {"undo_minutes": 10 * (repetition % 2)}
    tight = read_policy({"expiry": {"mode": "mandatory", "longest_days": 30}, "revocation": undo})
    acts = [
        lambda: policies.set_policy(
            deployment_id=app.deployment_id, slug=app.slug, policy=tight, applies_at=now, actor=actor, now=now
        ),
        lambda: key_edits.edit_key(key_id=edited.pk, changes={"expires_at": now + 300 * DAY}, **where),
        lambda: keys.undo_revoke(key_id=back.pk, **where),
    ]
    assert at_once(acts, refusals=(Invalid, Conflict)) == []
    for key in Key.objects.filter(revoked_at=None):
        assert key.expires_at is not None
        assert key.expires_at <= now + 30 * DAY
