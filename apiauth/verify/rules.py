"""Why a check is blocked: a table of rules and predicates over the facts of one check.

No input or output, no clock, no Django. The order of the table is a promise: the first rule
that blocks names the decision.
"""

from collections.abc import Callable
from dataclasses import dataclass

from apiauth.core.decision import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Everything that a decision depends on. Moments are Unix times in milliseconds."""

    now_ms: int
    well_formed: bool = True
    checksum_matches: bool = True
    known: bool = True
    app_is_open: bool = True
    revoked: bool = False
    disabled: bool = False
    overlap_ends_ms: int | None = None
    expires_ms: int | None = None
    rotation_due_ms: int | None = None
    ip_allowed: bool = True
    resource_allowed: bool = True
    permitted: bool = True
    limit_reached: bool = False


def _past(moment_ms: int | None, now_ms: int) -> bool:
    return moment_ms is not None and moment_ms <= now_ms


# The order is Rule's own order and part of the wire contract: do not sort it.
RULES: tuple[tuple[Rule, Callable[[Facts], bool]], ...] = (
    (Rule.KEY_MALFORMED, lambda facts: not facts.well_formed),
    (Rule.KEY_BAD_CHECKSUM, lambda facts: not facts.checksum_matches),
    (Rule.KEY_UNKNOWN, lambda facts: not facts.known),
    (Rule.APP_DISABLED, lambda facts: not facts.app_is_open),
    (Rule.KEY_REVOKED, lambda facts: facts.revoked),
    (Rule.KEY_DISABLED, lambda facts: facts.disabled),
    (Rule.KEY_ROTATED_OUT, lambda facts: _past(facts.overlap_ends_ms, facts.now_ms)),
    (Rule.KEY_EXPIRED, lambda facts: _past(facts.expires_ms, facts.now_ms)),
    (Rule.ROTATION_OVERDUE, lambda facts: _past(facts.rotation_due_ms, facts.now_ms)),
    (Rule.IP_NOT_ALLOWED, lambda facts: not facts.ip_allowed),
    (Rule.RESOURCE_NOT_ALLOWED, lambda facts: not facts.resource_allowed),
    (Rule.PERMISSION_DENIED, lambda facts: not facts.permitted),
    (Rule.RATE_LIMITED, lambda facts: facts.limit_reached),
)


def decide(facts: Facts) -> Rule | None:
    """Return the first rule that blocks, or None where the key may do it. Never raises: a refusal is data."""
    return next((rule for rule, blocks in RULES if blocks(facts)), None)
