"""The part that all adapters share: from a call to the product to work, or to the answer that refuses it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from keystead_client.checks import Check, Question
from keystead_client.decisions import Decision
from keystead_client.errors import Invalid, KeyAmbiguous, KeyMissing, KeyProblem, KeysteadError
from keystead_client.reading import without_absent
from keystead_client.settings import Settings
from keystead_client.wire import Conversation

RETRY_SECONDS = 5  # where nobody knows better
CALLERS_FAULT = ("method", "resource")
_SENTENCES = {
    "rate_limited": "Too many calls: wait, then try again.",
    "permission_denied": "This key may not do that.",
    "invalid_key": "This key is not valid.",
}
log = logging.getLogger("keystead_client")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A call to the product: every value of its `Authorization` and `X-API-Key` headers, and what it wants.

    `client_ip` is what the product's own server or proxy saw, never what the caller can write.
    """

    authorization: Sequence[str] = field(repr=False)
    api_key: Sequence[str] = field(repr=False)
    method: str
    resource: str
    client_ip: str | None = None
    user_agent: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The product's answer to a call that it will not carry out."""

    status: int
    headers: dict[str, str]
    body: dict[str, str]


@dataclass(frozen=True, slots=True)
class Admission:
    """Either the call may go on, or there is a refusal. `headers` go on the answer, whichever it is."""

    decision: Decision | None
    refusal: Refusal | None

    @property
    def headers(self) -> dict[str, str]:
        """Return the fields for the product's answer."""
        if self.refusal is not None:
            return self.refusal.headers
        return self.decision.rate_limit_fields if self.decision is not None else {}

    @property
    def request_id(self) -> str | None:
        """Return the id under which the decision is recorded, if one was made."""
        return self.decision.request_id if self.decision is not None else None


@dataclass(frozen=True, slots=True)
class Admit:
    """A check whose every end is an admission."""

    incoming: Incoming
    required_permissions: Sequence[str]

    def converse(self, settings: Settings) -> Conversation[Admission]:
        """Find the key, ask, and turn each way to fail into the refusal that the caller gets."""
        incoming = self.incoming
        try:
            question = Question(
                presented_key(incoming.authorization, incoming.api_key),
                incoming.method,
                incoming.resource,
                self.required_permissions,
                incoming.client_ip,
                incoming.user_agent,
            )
            decision = yield from Check(question).converse(settings)
        except KeysteadError as error:
            return Admission(None, refusal_of_error(error))
        return Admission(decision, None if decision.allowed else refusal_of(decision))


def admit(incoming: Incoming, required_permissions: Sequence[str] = ()) -> Admit:
    """Check a call to the product. Never raises a KeysteadError: whatever is no clear yes is a refusal."""
    return Admit(incoming, required_permissions)


def presented_key(authorization: Sequence[str], api_key: Sequence[str]) -> str:
    """Return the key as it came, from `Authorization: Bearer` or `X-API-Key`. Raises KeyMissing, KeyAmbiguous."""
    bearers = (value.partition(" ") for value in authorization)
    found = {token for scheme, _, token in bearers if scheme.lower() == "bearer" and token}
    found.update(value for value in api_key if value)
    if len(found) > 1:
        raise KeyAmbiguous
    if not found:
        raise KeyMissing
    return found.pop()


def refusal_of(decision: Decision) -> Refusal:
    """Return what a blocked call is answered with: 401 for the key, 403, or 429."""
    reason = decision.reason or "invalid_key"
    headers = decision.rate_limit_fields
    if reason == "rate_limited":
        status = 429
        headers["retry-after"] = str(decision.retry_after or RETRY_SECONDS)
    elif reason == "permission_denied":
        status = 403
    else:
        status = 401
        headers["www-authenticate"] = "Bearer"
    message = decision.message or _SENTENCES.get(reason, "This key can't be used here.")
    return Refusal(status, headers, _body(reason, message, decision.request_id, blocked_by=decision.blocked_rule))


def refusal_of_error(error: KeysteadError) -> Refusal:
    """Return what a call is answered with that came to no decision: 401 without a key, else 503 and never the work."""
    if isinstance(error, KeyProblem):
        return Refusal(401, {"www-authenticate": "Bearer"}, _body(error.code, error.message, None))
    if isinstance(error, Invalid) and (error.field in CALLERS_FAULT or error.status == 413):
        return Refusal(400, {}, _body("invalid_request", error.message, error.request_id))
    log.error("refused a call that could not be checked: %s: %s", type(error).__name__, error.message)
    headers = {"retry-after": str(error.retry_after or RETRY_SECONDS)}
    return Refusal(503, headers, _body("unavailable", "Keys can't be checked just now.", error.request_id))


def _body(reason: str, message: str, request_id: str | None, **more: Any) -> dict[str, str]:
    return without_absent({"error": reason, "message": message, "request_id": request_id, **more})
