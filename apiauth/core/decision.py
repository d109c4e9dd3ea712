"""The closed list of reasons for which a check is blocked, and the value a check comes to."""

from dataclasses import dataclass
from enum import StrEnum

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
"""The methods that a check may name."""


class Rule(StrEnum):
    """Why a check was blocked. The order here is the order of evaluation: the first match wins."""

    KEY_MALFORMED = "key_malformed"
    KEY_BAD_CHECKSUM = "key_bad_checksum"
    KEY_UNKNOWN = "key_unknown"
    APP_DISABLED = "app_disabled"
    KEY_REVOKED = "key_revoked"
    KEY_DISABLED = "key_disabled"
    KEY_ROTATED_OUT = "key_rotated_out"
    KEY_EXPIRED = "key_expired"
    ROTATION_OVERDUE = "rotation_overdue"
    IP_NOT_ALLOWED = "ip_not_allowed"
    RESOURCE_NOT_ALLOWED = "resource_not_allowed"
    PERMISSION_DENIED = "permission_denied"
    RATE_LIMITED = "rate_limited"


# The caller must not learn which of these it was: the precise rule is only in the log.
UNIDENTIFIED = frozenset({Rule.KEY_MALFORMED, Rule.KEY_BAD_CHECKSUM, Rule.KEY_UNKNOWN})
# The key is known and could not be used for anything.
UNUSABLE = frozenset(
    {
        Rule.APP_DISABLED,
        Rule.KEY_REVOKED,
        Rule.KEY_DISABLED,
        Rule.KEY_ROTATED_OUT,
        Rule.KEY_EXPIRED,
        Rule.ROTATION_OVERDUE,
    }
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What one check came to: allowed where `rule` is None, else blocked by that rule.

    `blocked_by` is what the wire says blocked it: the rule, or a limit such as `60/60s`.
    """

    rule: Rule | None = None
    blocked_by: str | None = None

    @property
    def allowed(self) -> bool:
        """Tell whether the key may do what was asked."""
        return self.rule is None


ALLOWED = Decision()


def blocked(rule: Rule) -> Decision:
    """Return the decision that a rule other than a limit blocks."""
    return Decision(rule, rule.value)
