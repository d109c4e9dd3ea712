"""The whole check in one process: a presented key and what it asks for in, a recorded decision out."""

import re
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from apiauth.audit.record import fields, frame_fields, new_decision_number
from apiauth.audit.room import Room
from apiauth.audit.spool import Spool, SpoolFull, host_name
from apiauth.core.decision import Rule
from apiauth.core.errors import Unavailable
from apiauth.core.limits import LimitRule
from apiauth.core.permissions import requirement
from apiauth.core.resource import is_opened
from apiauth.core.secrets import (
    LONGEST_SECRET,
    PREFIX_PATTERN,
    TAIL_CHARACTERS,
    Peppers,
    SecretKind,
    checksum_matches,
    is_well_formed,
    prefix_of,
)
from apiauth.verify.addresses import Address, is_within
from apiauth.verify.entries import Key
from apiauth.verify.limiter import ADMITTED, Claim, Limiter, LimitsState
from apiauth.verify.listener import Listener
from apiauth.verify.look_ups import Heard
from apiauth.verify.measures import Measures
from apiauth.verify.prepared import Prepared, RecentClaims, prepare, recorded_limits, state_facts
from apiauth.verify.rules import Facts, decide
from apiauth.verify.snapshot import LOOKED_UP_WITHIN_SECONDS, Snapshot

_LIKE_A_KEY = re.compile(rf"({PREFIX_PATTERN})_([0-9A-Za-z]{{4}})[0-9A-Za-z]{{26,60}}")


def _blocking(facts: Facts) -> Rule:
    rule = decide(facts)
    assert rule is not None
    return rule


# What the table of rules says of a key that nobody knows depends on no moment: it is asked once, which
# spares each such check 2.1 µs (of 13 for a bad checksum).
_MALFORMED = _blocking(Facts(now_ms=0, well_formed=False))
_BAD_CHECKSUM = _blocking(Facts(now_ms=0, checksum_matches=False))
_UNKNOWN = _blocking(Facts(now_ms=0, known=False))
_NO_LIMITS = recorded_limits(())


class Stale(Unavailable):
    """The gateway has not heard from the database for too long to vouch for an answer. Try again shortly."""

    code = "stale"

    def __init__(self, stale_ms: int | None) -> None:
        """Take how long ago that was; None where it was never heard."""
        self.stale_ms = stale_ms
        super().__init__()


class Question(msgspec.Struct, gc=False):
    """One check as the caller put it, every part already in its normal form."""

    presented: str
    method: str
    path: str
    logged_path: str
    client: Address
    peer_ip: str
    user_agent: str
    required_permissions: list[str]
    deployment_id: int | None = None
    """The caller's deployment, where callers have to say who they are; keys of others are unknown to it."""


class Outcome(msgspec.Struct, gc=False):
    """What a check came to, and what the answer says of it."""

    number: int
    rule: Rule | None
    blocked_by: str | None
    key: Key | None
    prepared: Prepared | None
    claims: tuple[Claim, ...] = ()
    left: list[int] = []
    """What is left of each claim's limit."""
    denied_limit: LimitRule | None = None
    retry_after: int | None = None
    stale_ms: int = 0

    @property
    def limits(self) -> list[tuple[LimitRule, int]]:
        """Return the limits of the call, each with what is left of it."""
        return [(claim.rule, left) for claim, left in zip(self.claims, self.left, strict=True)]


class Freshness(NamedTuple):
    """How long ago the database was last heard, and whether answers may still be given."""

    is_fresh: bool
    stale_ms: int | None


class Checker:
    """Answers checks from the snapshot and records each before it returns."""

    def __init__(
        self,
        *,
        snapshot: Snapshot,
        limiter: Limiter,
        spool: Spool,
        peppers: Peppers,
        listener: Listener | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._limiter = limiter
        self._spool = spool
        self._digests = [peppers.digester(SecretKind.KEY, version) for version in peppers.versions]
        self._listener = listener
        self.measures = Measures()
        self._bound = snapshot.stale_bound_seconds
        self._recent_claims = RecentClaims()
        self._node = fields(host_name())

    def freshness(self) -> Freshness:
        """Return how old answers are now, and whether that is within the bound."""
        now = time.monotonic_ns()
        if not self._snapshot.is_loaded:
            return Freshness(is_fresh=False, stale_ms=None)
        is_fresh = self._snapshot.age_at(now) <= self._bound
        return Freshness(is_fresh=is_fresh, stale_ms=int((now / 1e9 - self._snapshot.confirmed_at) * 1000))

    def room(self) -> Room:
        """Return how much room is left to record decisions in."""
        return self._spool.room()

    def limits(self) -> LimitsState:
        """Return how far limits reach, and whether they are held back."""
        return self._limiter.state()

    def check(self, question: Question) -> Outcome:
        """Return the decision, recorded. Raises Stale or SpoolFull: then there is none, and no limit is charged."""
        began = time.monotonic_ns()
        snapshot = self._snapshot
        age = snapshot.age_at(began)
        if age > self._bound:
            raise Stale(self.freshness().stale_ms)
        now_ms = (began + snapshot.database_offset_ns) // 1_000_000
        found = self._recognise(question, snapshot.tables.keys.recent)
        if found is _UNKNOWN:
            (found,) = self._look_up([question], [found], age)
        outcome = self._decide(found, question, now_ms, age)
        frame = self._frame(outcome, question, began)
        try:
            self._spool.append_frames([frame])
        except SpoolFull:
            self._give_back([outcome], now_ms)
            raise
        self.measures.decided(outcome.rule, began)
        return outcome

    def check_all(self, questions: Sequence[Question]) -> list[Outcome]:
        """Return a decision for each question, in order, all recorded. Raises Stale or SpoolFull.

        Limits are taken in the order of the questions, and given back where the decisions
        can then not be recorded.
        """
        asked = time.monotonic_ns()
        age = self._snapshot.age_at(asked)
        if age > self._bound:
            raise Stale(self.freshness().stale_ms)
        now_ms = (asked + self._snapshot.database_offset_ns) // 1_000_000
        keys = self._snapshot.tables.keys.recent
        found = [self._recognise(question, keys) for question in questions]
        if _UNKNOWN in found:
            found = self._look_up(questions, found, age)
        outcomes = []
        frames = []
        for each, question in zip(found, questions, strict=True):
            began = time.monotonic_ns()
            outcome = self._decide(each, question, now_ms, age)
            outcomes.append(outcome)
            frames.append(self._frame(outcome, question, began))
        try:
            self._spool.append_frames(frames)
        except SpoolFull:
            self._give_back(outcomes, now_ms)
            raise
        for outcome in outcomes:
            self.measures.decided(outcome.rule, asked)
        self.measures.batch(len(outcomes))
        return outcomes

    def _give_back(self, outcomes: Sequence[Outcome], now_ms: int) -> None:
        """Take what calls were charged off their limits again: nobody hears that they were admitted."""
        for outcome in outcomes:
            if outcome.rule is None and outcome.claims:
                self._limiter.give_back(outcome.claims, now_ms)

    def _recognise(self, question: Question, keys: Mapping[bytes, Key]) -> Key | Rule:
        """Return the key that is presented, where it is one of these, or the rule for what is none."""
        text = question.presented
        if len(text) > LONGEST_SECRET or not checksum_matches(text):
            return _BAD_CHECKSUM if is_well_formed(text) else _MALFORMED
        key = keys.get(self._digests[0](text))  # what is found needs no look at its form: it was minted here
        if key is None:
            key = next((keys[other] for digest in self._digests[1:] if (other := digest(text)) in keys), None)
        if key is not None and (question.deployment_id is None or question.deployment_id == key.deployment_id):
            return key
        return _UNKNOWN if is_well_formed(text) else _MALFORMED

    def _look_up(self, questions: Sequence[Question], found: list[Key | Rule], age: float) -> list[Key | Rule]:
        """Recognise keys that are not found once more, after the database was asked, once. Raises Stale."""
        if self._listener is None:
            return found
        unknown = [question for question, each in zip(questions, found, strict=True) if each is _UNKNOWN]
        looked_up = self._listener.look_up(
            [[digest(question.presented) for digest in self._digests] for question in unknown]
        )
        again = (self._recognise(question, looked_up.keys) for question in unknown)
        found = [next(again) if each is _UNKNOWN else each for each in found]
        if _UNKNOWN in found and (
            looked_up.heard is Heard.NOT_AT_ALL
            or (looked_up.heard is Heard.AT_LAST_POLL and age > LOOKED_UP_WITHIN_SECONDS)
        ):
            raise Stale(self.freshness().stale_ms)  # the key may be newer than what we last heard
        return found

    def _decide(self, found: Key | Rule, question: Question, now_ms: int, age: float) -> Outcome:
        outcome = _blocked(found) if isinstance(found, Rule) else self._judge(found, question, now_ms)
        outcome.number = new_decision_number(now_ms)
        outcome.stale_ms = int(age * 1000) if age > 0 else 0
        return outcome

    def _judge(self, key: Key, question: Question, now_ms: int) -> Outcome:
        """Decide about a known key: its state, where it may be used, what it may do, how often.

        A sound key that may do what is asked takes none of the branches; the table of rules
        has the word for all others, so that there is one place that says what comes first.
        """
        app = self._snapshot.tables.apps.get(key.app_id)
        prepared: Prepared | None = key.prepared
        if prepared is None or prepared.app is not app:
            assert app is not None, "a key's app is loaded before the key"
            prepared = key.prepared = prepare(key, app)
        ip_allowed = prepared.networks is None or is_within(question.client, prepared.networks)
        opened = prepared.resources is None or is_opened(question.path, prepared.resources)
        required = question.required_permissions
        permitted = prepared.permissions.issuperset(required) or _is_permitted(required, prepared.permissions)
        if now_ms >= prepared.sound_until_ms or not ip_allowed or not opened or not permitted:
            about = {"ip_allowed": ip_allowed, "resource_allowed": opened, "permitted": permitted}
            rule = decide(state_facts(key, prepared.app, now_ms, **about))
            if rule is not None:
                return _blocked(rule, key, prepared)
        claims = prepared.claims
        if claims is None:
            claims = self._recent_claims.of(key, prepared, question.path, question.client)
        if not claims:
            return Outcome(0, None, None, key, prepared)
        denied, left = self._limiter.take(claims, now_ms)
        outcome = Outcome(0, None, None, key, prepared, claims, left)
        if denied != ADMITTED:
            limit = claims[denied].rule
            outcome.rule = Rule.RATE_LIMITED
            outcome.blocked_by = limit.text
            outcome.denied_limit = limit
            outcome.retry_after = self._limiter.retry_after(limit, now_ms)
        return outcome

    def _frame(self, outcome: Outcome, question: Question, began: int) -> bytes:
        """Return the decision's record as it stands in the spool."""
        rule = outcome.rule
        call = (
            None if rule is None else rule.value,
            outcome.blocked_by,
            question.method,
            question.logged_path,
            question.client.text,
            question.peer_ip or None,
            question.user_agent,
            question.required_permissions,
            outcome.key.permissions if rule is Rule.PERMISSION_DENIED and outcome.key is not None else None,
            outcome.left,
            outcome.retry_after,
            outcome.stale_ms,
            (time.monotonic_ns() - began) // 1000,
        )
        prepared = outcome.prepared
        limits = _NO_LIMITS
        if prepared is None:
            whom = self._presented(question, rule)
        else:
            whom = prepared.recorded
            if outcome.left:
                limits = prepared.recorded_limits or recorded_limits(tuple([claim.rule for claim in outcome.claims]))
        return frame_fields(outcome.number, whom, limits, call, self._node)

    def _presented(self, question: Question, rule: Rule | None) -> bytes:
        """Return what may be kept of a key that is not known, with the app it must have been meant for."""
        text = question.presented
        if rule is not _MALFORMED:  # so its parts are where they belong
            prefix, start = prefix_of(text), text[: -TAIL_CHARACTERS + 4]
        elif match := _LIKE_A_KEY.fullmatch(text):
            prefix, start = match[1], f"{match[1]}_{match[2]}"
        else:
            return fields(question.deployment_id, None, None, None, None)
        app = self._snapshot.app_by_prefix(prefix, question.deployment_id)
        if app is None:
            return fields(question.deployment_id, None, None, None, start)
        return fields(app.deployment_id, app.id, None, None, start)


def _is_permitted(required: list[str], held: frozenset[str]) -> bool:
    return all(entry in held or requirement(entry)(held) for entry in required)


def _blocked(rule: Rule, key: Key | None = None, prepared: Prepared | None = None) -> Outcome:
    return Outcome(0, rule, rule.value, key, prepared)
