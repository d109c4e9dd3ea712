"""Carries a creating call out once, however often it is sent with one Idempotency-Key."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from apiauth.core.errors import InFlight, OtherBody
from apiauth.models import BackendKey, IdempotentAnswer, Session
from apiauth.models.fields import insert
from apiauth.services.refusals import atomic_but_for_refusals

SHOWN_ONCE = ("secret", "ticket", "url")


@dataclass(frozen=True, slots=True)
class RepeatableCall:
    """A call as its caller names it: who, where to, under which Idempotency-Key, with which body.

    The caller is a backend key or a session, by its row.
    """

    caller: BackendKey | Session
    route: str
    name: str
    body: bytes

    @property
    def whose(self) -> dict[str, int]:
        """Return the caller as the row names it."""
        column = "session_id" if isinstance(self.caller, Session) else "backend_key_id"
        return {column: self.caller.pk}

    @property
    def digest(self) -> bytes:
        """Return what stands for the route and the name."""
        return hashlib.sha256(f"{self.route}\n{self.name}".encode()).digest()


@atomic_but_for_refusals()
def answer_once(
    call: RepeatableCall, carry_out: Callable[[], Mapping[str, Any]], *, now: datetime
) -> Mapping[str, Any]:
    """Return what `carry_out` answers, or what it answered before, then without its secret.

    The answer is stored with the effect or not at all, so a refused call can be sent again.
    Raises InFlight, OtherBody, and whatever `carry_out` raises.
    """
    _lock(call)
    fingerprint = hashlib.sha256(call.body).digest()
    known = IdempotentAnswer.objects.filter(**call.whose, digest=call.digest).first()
    if known is not None:
        if bytes(known.fingerprint) != fingerprint:
            raise OtherBody(field="Idempotency-Key")
        return {**known.answer, "replayed": True}
    answer = carry_out()
    insert(
        lambda: IdempotentAnswer(
            **call.whose,
            digest=call.digest,
            fingerprint=fingerprint,
            answer=_without_secrets(answer),
            created_at=now,
        )
    )
    return answer


def _lock(call: RepeatableCall) -> None:
    """Hold the call's name until the transaction ends; a lock that is taken means a request in flight."""
    scope = hashlib.sha256(f"idempotency\n{call.whose}\n".encode() + call.digest).digest()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [int.from_bytes(scope[:8], "big", signed=True)])
        row = cursor.fetchone()
    if row is None or not row[0]:
        raise InFlight(field="Idempotency-Key")


def _without_secrets(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {name: None if name in SHOWN_ONCE else value for name, value in answer.items()}
