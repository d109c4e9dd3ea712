"""What is sent and what comes back, as values: no module but `client` does any I/O.

A conversation is a generator that yields what to send or how long to pause, is told what came
back, and returns the result. The two clients drive the same conversations.
"""

import json
import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import httpx

from keystead_client.errors import REFUSALS, Invalid, KeysteadError, Unavailable, UnclearAnswer
from keystead_client.settings import Settings

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_NO_ANSWER = (502, 503, 504)
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Request:
    """One request; its headers and its content may hold keys, so no repr shows them."""

    method: str
    url: httpx.URL
    headers: list[tuple[str, str]] = field(repr=False)
    content: bytes | None = field(repr=False)
    timeout_seconds: float
    most_bytes: int  # of the answer's body; what is longer is cut off, and so unclear


@dataclass(frozen=True, slots=True)
class Pause:
    """A wait before the next attempt."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)

    @property
    def retry_after(self) -> int | None:
        """Return how many seconds to wait, where the answer says so in seconds."""
        text = self.headers.get("retry-after", "")
        return int(text) if _SECONDS.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No answer, and what is known of why: nothing of the request was sent, or the time was up."""

    why: str
    nothing_was_sent: bool = False
    timed_out: bool = False


Conversation = Generator[Request | Pause, Answer | NoAnswer | None, T]


class Operation(Protocol[T_co]):
    """Something to ask of Keystead."""

    def converse(self, settings: Settings) -> Conversation[T_co]:
        """Begin the conversation that carries it out."""


def encode(body: Mapping[str, Any]) -> bytes:
    """Return a body as JSON."""
    return json.dumps(body, separators=(",", ":")).encode()


def json_object(answer: Answer) -> dict[str, Any]:
    """Return the answer's JSON object. Raises UnclearAnswer."""
    try:
        body = json.loads(answer.content)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise UnclearAnswer(f"The answer ({answer.status}) is no JSON object.", retry_after=answer.retry_after)
    return body


def received(answer: Answer | NoAnswer | None) -> Answer:
    """Return what came back. Raises Unavailable where nothing did, or 502, 503 or 504."""
    if isinstance(answer, Answer):
        if answer.status in _NO_ANSWER:
            raise _unavailable(answer)
        return answer
    why = answer.why if answer else "nothing was asked"
    raise Unavailable(f"Keystead gave no answer ({why}).")


def _unavailable(answer: Answer) -> Unavailable:
    try:
        body = json_object(answer)
    except UnclearAnswer:
        body = {}
    return Unavailable(
        f"Keystead cannot answer just now ({answer.status}).",
        code=_text(body.get("code")),
        status=answer.status,
        request_id=_text(body.get("request_id")),
        retry_after=answer.retry_after,
    )


def error_of(answer: Answer) -> KeysteadError:
    """Return the error that an answer is: a refusal for a 4xx that says so in JSON, else an unclear answer."""
    if not 400 <= answer.status < 500:
        return UnclearAnswer(f"Keystead gave an answer of status {answer.status}.", status=answer.status)
    try:
        body = json_object(answer)
    except UnclearAnswer as problem:
        return problem
    kind = REFUSALS.get(answer.status, Invalid)
    return kind(
        _text(body.get("message")),
        code=_text(body.get("code")),
        status=answer.status,
        field=_field(body),
        request_id=_text(body.get("request_id")),
        retry_after=answer.retry_after,
    )


def _field(body: Mapping[str, Any]) -> str | None:
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return _text(first.get("field")) if isinstance(first, dict) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
