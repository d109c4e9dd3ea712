"""The questions to the gateway: may this key do this?"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from keystead_client.calls import listed
from keystead_client.decisions import Decision, read_decision
from keystead_client.errors import Unavailable, UnclearAnswer
from keystead_client.reading import without_absent
from keystead_client.retries import exchange
from keystead_client.settings import Settings
from keystead_client.wire import Answer, Conversation, Request, encode, error_of, json_object

LONGEST_KEY = 512
LONGEST_USER_AGENT = 500
MOST_BYTES = 64 * 1024
MOST_BATCH_BYTES = 4 * 1024 * 1024
log = logging.getLogger("keystead_client")


@dataclass(frozen=True, slots=True)
class Question:
    """One call to ask about. `presented` is the key as the caller sent it: not trimmed, cut at 512 characters."""

    presented: str = field(repr=False)
    method: str
    resource: str
    required_permissions: Sequence[str] = ()
    client_ip: str | None = None
    user_agent: str | None = None

    def body(self) -> dict[str, Any]:
        """Return the question as the gateway reads it.

        Without a user agent it would take that of the request, which is this client's own.
        """
        agent = self.user_agent or "unknown"
        body = {
            "principal": {"type": "api_key", "value": self.presented[:LONGEST_KEY]},
            "resource": self.resource,
            "method": self.method,
            "client_ip": self.client_ip,
            "user_agent": agent[:LONGEST_USER_AGENT],
            "required_permissions": listed(self.required_permissions),
        }
        return without_absent(body)


@dataclass(frozen=True, slots=True)
class Check:
    """One question, one decision."""

    question: Question

    def converse(self, settings: Settings) -> Conversation[Decision]:
        """Ask once; ask again only where the connection was refused, for an answer may have used up a limit."""
        settings.require_gateway()
        try:
            answer = yield from _ask(settings, settings.check_url, self.question.body(), MOST_BYTES)
        except Unavailable as problem:
            return _without_answer(settings, problem)
        return _read(answer, settings)


@dataclass(frozen=True, slots=True)
class CheckBatch:
    """Up to a hundred questions, a decision for each, in order."""

    questions: Sequence[Question]

    def converse(self, settings: Settings) -> Conversation[list[Decision]]:
        """Ask about all of them in one request."""
        settings.require_gateway()
        body = {"checks": [question.body() for question in self.questions]}
        try:
            answer = yield from _ask(settings, settings.batch_url, body, MOST_BATCH_BYTES)
        except Unavailable as problem:
            return [_without_answer(settings, problem) for _ in self.questions]
        return _read_batch(answer, len(self.questions), settings)


def check(
    presented: str,
    *,
    method: str,
    resource: str,
    required_permissions: Sequence[str] = (),
    client_ip: str | None = None,
    user_agent: str | None = None,
) -> Check:
    """Ask the gateway whether a presented key may make a call. A blocked call is a decision, not an error.

    Raises Unavailable where there is no answer (unless this client was told `on_unavailable="allow"`),
    UnclearAnswer, and Invalid for a question that makes no sense.
    """
    return Check(Question(presented, method, resource, required_permissions, client_ip, user_agent))


def check_batch(questions: Sequence[Question]) -> CheckBatch:
    """Ask about 1 to 100 calls at once; limits are used up in their order. Raises as `check` does."""
    return CheckBatch(questions)


def _ask(settings: Settings, url: httpx.URL, body: dict[str, Any], most_bytes: int) -> Conversation[Answer]:
    content = encode(body)
    request = Request("POST", url, settings.check_headers, content, settings.check_timeout_seconds, most_bytes)
    return (yield from exchange(request, retries=settings.retries, may_repeat=False))


def _without_answer(settings: Settings, problem: Unavailable) -> Decision:
    """Fail closed: raise. Fail open, where that was spelled out: let the call through, and say so."""
    if settings.on_unavailable == "deny":
        raise problem
    log.warning("let a call through unchecked and unrecorded: %s", problem.message)
    return Decision(allowed=True, status=503, recorded=False)


def _read(answer: Answer, settings: Settings) -> Decision:
    if answer.status not in (200, 401):
        raise error_of(answer)
    body = json_object(answer)
    if answer.status == 401 and body.get("reason") is None:
        raise error_of(answer)  # the gateway refuses whoever asks, not the key that was presented
    return read_decision(answer.status, body, settings)


def _read_batch(answer: Answer, asked: int, settings: Settings) -> list[Decision]:
    if answer.status != 200:
        raise error_of(answer)
    found = json_object(answer).get("decisions")
    if not isinstance(found, list) or len(found) != asked:
        raise UnclearAnswer("The gateway did not decide about each of the calls.")
    return [_read_entry(entry, settings) for entry in found]


def _read_entry(entry: Any, settings: Settings) -> Decision:
    if not isinstance(entry, dict) or entry.get("status") not in (200, 401):
        raise UnclearAnswer("The gateway's answer holds something that is no decision.")
    return read_decision(entry["status"], entry, settings)
