"""What the gateway decided about one call, and what counts as a yes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from keystead_client.audit_results import Limit
from keystead_client.errors import UnclearAnswer
from keystead_client.reading import read_as
from keystead_client.settings import Settings

_FIELDS = re.compile(r"ratelimit(?:-policy)?|x-ratelimit-[a-z0-9-]+")
_SAFE_VALUE = re.compile(r"[ -~]{1,1000}")
INVALID_KEY = "invalid_key"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose key it is."""

    key_id: str | None = None
    deployment_id: str | None = None
    app_slug: str | None = None
    key_name: str | None = None
    owner_user_id: str | None = None
    organization_id: str | None = None
    workspace_id: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed, or blocked by a rule. `recorded` is False only for a call let through without an answer.

    `reason` is what to tell the caller, `rule` the rule's own name, `blocked_rule` the limit where a
    limit blocked. `retry_after` is whole seconds, `stale_ms` the age of the gateway's knowledge.
    """

    allowed: bool
    status: int = 200
    request_id: str | None = None
    reason: str | None = None
    blocked_rule: str | None = None
    rule: str | None = None
    identity: Identity | None = None
    permissions: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    rate_limits: tuple[Limit, ...] = ()
    retry_after: int | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    stale_ms: int | None = None
    message: str | None = None
    recorded: bool = True

    @property
    def rate_limit_fields(self) -> dict[str, str]:
        """Return the header fields about rate limits, to pass on to the caller; others stay inside."""
        return {
            name: value
            for name, value in self.headers.items()
            if _FIELDS.fullmatch(name) and isinstance(value, str) and _SAFE_VALUE.fullmatch(value)
        }


def read_decision(status: int, body: Mapping[str, Any], settings: Settings) -> Decision:
    """Return the decision that an answer holds. Raises UnclearAnswer for what is no decision.

    It is a yes only at status 200, with `allowed` the JSON `true`, and for a key of the app (and the
    deployment) that this client was told of. A good key of another app is no key of ours.
    """
    decision = read_as(Decision, {**body, "status": status, "recorded": True})
    if decision.allowed and status != 200:
        raise UnclearAnswer(f"The gateway's answer says yes at status {status}.")
    if not decision.allowed and decision.reason is None:
        raise UnclearAnswer("The gateway's answer is a no without a reason.")
    return decision if _is_ours(decision, settings) else _as_unknown_key(decision)


def _is_ours(decision: Decision, settings: Settings) -> bool:
    identity = decision.identity or Identity()
    if not decision.allowed and identity.app_slug is None:
        return True  # a refusal that knows of no key tells nothing about another app
    return settings.app_slug in (None, identity.app_slug) and settings.deployment_id in (None, identity.deployment_id)


def _as_unknown_key(decision: Decision) -> Decision:
    """Return the refusal that a key of nobody gets, so that nothing of the other app shows."""
    return replace(
        Decision(allowed=False, status=401, reason=INVALID_KEY, blocked_rule=INVALID_KEY, rule=INVALID_KEY),
        request_id=decision.request_id,
        stale_ms=decision.stale_ms,
    )
