"""What a change to a key would break: its own recent calls, decided once more as if it were made."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from apiauth.audit import completeness
from apiauth.audit.calls import recent_calls
from apiauth.core import clock
from apiauth.core.errors import Invalid, Unavailable
from apiauth.core.key_limits import load_key_rules
from apiauth.core.resource import open_roots
from apiauth.models import App, Key
from apiauth.services import key_edits
from apiauth.verify.addresses import parse_networks
from apiauth.verify.replay import Impact, Proposal, replay

MOST_CALLS = 100_000
WINDOWS = (timedelta(days=7), timedelta(days=1), timedelta(hours=1))
LONGEST_QUERY_MS = 700


class Deed(StrEnum):
    """What blocks a key as a whole."""

    REVOKE = "revoke"
    DISABLE = "disable"


class Unreadable(Unavailable):
    """This key makes more calls than can be read in time, so nobody can say what the change would block."""

    code = "impact_unknown"


@dataclass(frozen=True, slots=True)
class Preview:
    """What would have been blocked from `start` to `end`; of a busy key that is less than the whole week."""

    impact: Impact
    start: datetime
    end: datetime
    complete_until: datetime
    """Up to which moment all calls were on record."""

    @property
    def last_at(self) -> datetime | None:
        """Return when the last call was made that would have been blocked."""
        return clock.from_ms(self.impact.last_ms) if self.impact.last_ms is not None else None


def propose(*, app: App, key: Key, action: str | None = None, changes: Mapping[str, Any], now: datetime) -> Proposal:
    """Return a proposal to revoke or disable a key of the app, or to change what `changes` names of it.

    That is one or more of permissions, allowed_cidrs, resources and limits, checked as the change itself would
    be. Raises Invalid that names the field; also for an action together with changes, and for neither.
    """
    if action is not None and changes:
        raise Invalid("Send an action or changes, not both.", field="action")
    if action is not None:
        return _ended(action)
    if not changes:
        raise Invalid(
            "Send an action, or what you would change: permissions, allowed_cidrs, resources, limits.", field="action"
        )
    given = {name: key_edits.checked(name, value, key, app, now) for name, value in changes.items()}
    return Proposal(
        permissions=frozenset(given["permissions"]) if "permissions" in given else None,
        networks=parse_networks(given["allowed_cidrs"]) if "allowed_cidrs" in given else None,
        resources=open_roots(given["resources"], app.resources) if given.get("resources") else None,
        limits=load_key_rules(given.get("limits", ())),
    )


def _ended(action: str) -> Proposal:
    if action not in list(Deed):
        raise Invalid(f"action must be {' or '.join(Deed)}.", field="action")
    return Proposal(revoked=action == Deed.REVOKE, disabled=action == Deed.DISABLE)


def require(*, key: Key, proposal: Proposal, now: datetime) -> Preview:
    """Return what `preview` returns. Raises Unreadable where that is nothing."""
    found = preview(key=key, proposal=proposal, now=now)
    if found is None:
        raise Unreadable
    return found


def preview(*, key: Key, others: Collection[Key] = (), proposal: Proposal, now: datetime) -> Preview | None:
    """Return what a proposal would have done to a key's last 100,000 calls of the last seven days.

    With others of its lineage, which would end with it, it is the last 100,000 of all of them together.
    None where even an hour of calls cannot be read in time: then nobody knows. What the gateways
    decided since `complete_until` may not be on record yet.
    """
    complete_until = completeness.complete_until()
    key_ids = [key.pk, *(other.pk for other in others)]
    for window in WINDOWS:
        start = now - window
        calls = recent_calls(
            app_id=key.app_id, key_ids=key_ids, start=start, end=now, most=MOST_CALLS, longest_ms=LONGEST_QUERY_MS
        )
        if calls is not None:
            start = clock.from_ms(calls[-1][0]) if len(calls) == MOST_CALLS else start
            return Preview(replay(calls, proposal), start, now, complete_until)
    return None
