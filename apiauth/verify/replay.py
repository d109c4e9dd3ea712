"""Asks of calls that were allowed whether they would be, if the key were as somebody proposes.

The same table of rules decides as at the gateway. No input or output, no clock, no Django.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from apiauth.audit.calls import Call
from apiauth.core.decision import Rule
from apiauth.core.limits import LimitRule, Mode
from apiauth.core.permissions import requirement
from apiauth.core.resource import is_opened
from apiauth.verify.addresses import Network, is_within, parse_address
from apiauth.verify.rules import Facts, decide

MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """How a key would be; None leaves a thing as it is."""

    revoked: bool = False
    disabled: bool = False
    permissions: frozenset[str] | None = None
    networks: tuple[Network, ...] | None = None
    resources: tuple[str, ...] | None = None
    """The roots of the only resources that it opens; no roots are none."""
    limits: tuple[LimitRule, ...] = ()
    """Limits that the calls would count against. Of one that keys share, only this key's calls are counted."""


@dataclass(frozen=True, slots=True)
class Count:
    """How many calls have one thing in common."""

    name: str
    calls: int


@dataclass(frozen=True, slots=True)
class Impact:
    """How many of some calls would have been blocked, by which rules, and from where they came."""

    calls: int
    blocked: int
    rules: tuple[Count, ...]
    addresses: tuple[Count, ...]
    """The addresses with the most such calls, and no more than five."""
    paths: tuple[Count, ...]
    """The methods and paths with the most such calls, and no more than five."""
    address_count: int
    path_count: int
    last_ms: int | None
    """When the last call was made that would have been blocked."""


def replay(calls: Sequence[Call], proposal: Proposal) -> Impact:
    """Return what would have become of calls, the newest first, under a proposal."""
    blocked = _by_the_key(calls, proposal)
    if proposal.limits:
        refused = {index for index, _ in blocked}
        passed = [index for index in range(len(calls)) if index not in refused]
        blocked += _by_limits(calls, passed, proposal.limits)
    return _summary(calls, blocked)


def _by_the_key(calls: Sequence[Call], proposal: Proposal) -> list[tuple[int, Rule]]:
    """Return the calls that the key's own state would block; calls that ask the same are judged once."""
    verdicts: dict[tuple[str | None, str, str], Rule | None] = {}
    blocked = []
    for index, (_, address, _, path, required) in enumerate(calls):
        asked = address, path if proposal.resources is not None else "", required
        if asked not in verdicts:
            verdicts[asked] = _rule(*asked, proposal)
        rule = verdicts[asked]
        if rule is not None:
            blocked.append((index, rule))
    return blocked


def _rule(address: str | None, path: str, required: str, proposal: Proposal) -> Rule | None:
    networks, held = proposal.networks, proposal.permissions
    return decide(
        Facts(
            now_ms=0,
            revoked=proposal.revoked,
            disabled=proposal.disabled,
            ip_allowed=not networks or (address is not None and is_within(parse_address(address), networks)),
            resource_allowed=proposal.resources is None or is_opened(path, proposal.resources),
            permitted=held is None or all(requirement(entry)(held) for entry in json.loads(required)),
        )
    )


def _by_limits(calls: Sequence[Call], passed: Iterable[int], limits: tuple[LimitRule, ...]) -> list[tuple[int, Rule]]:
    """Return the calls beyond a limit, counted as the gateway counts: against every rule, or where one denies, none."""
    used: Counter[tuple[str, str, int]] = Counter()
    blocked = []
    for index in sorted(passed, reverse=True):  # the oldest first
        moment, address, _, path, _ = calls[index]
        claims = [
            (rule, (rule.id, _counted(rule, address), rule.window_at(moment)[0]))
            for rule in limits
            if rule.covers(path)
        ]
        if any(used[claim] >= rule.max_requests for rule, claim in claims):
            blocked.append((index, Rule.RATE_LIMITED))
        else:
            used.update(claim for _, claim in claims)
    return blocked


def _counted(rule: LimitRule, address: str | None) -> str:
    return "" if rule.mode in (Mode.PER_APP, Mode.PER_KEY) or address is None else parse_address(address).group


def _summary(calls: Sequence[Call], blocked: Sequence[tuple[int, Rule]]) -> Impact:
    concerned = [calls[index] for index, _ in blocked]
    rules = Counter(str(rule) for _, rule in blocked)
    addresses = Counter(address or "unknown" for _, address, _, _, _ in concerned)
    paths = Counter((method, path) for _, _, method, path, _ in concerned)
    return Impact(
        calls=len(calls),
        blocked=len(blocked),
        rules=_most(rules),
        addresses=_most(addresses),
        paths=_most(Counter({" ".join(name): count for name, count in paths.most_common(MOST_NAMED)})),
        address_count=len(addresses),
        path_count=len(paths),
        last_ms=max((moment for moment, *_ in concerned), default=None),
    )


def _most(counts: Counter[str]) -> tuple[Count, ...]:
    return tuple(Count(name, calls) for name, calls in counts.most_common(MOST_NAMED))
