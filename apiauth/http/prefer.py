"""Reads `Prefer: wait=…` (RFC 7240): a change is answered once every gateway has it, or when the time is over."""

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from django.http import HttpRequest, HttpResponse

from apiauth.http.auth import BackendRequest, SessionRequest
from apiauth.http.openapi.describe import reads_header
from apiauth.services import propagation

Parameters = ParamSpec("Parameters")
RequestType = TypeVar("RequestType", BackendRequest, SessionRequest)
_WAIT = re.compile(r'\s*wait\s*=\s*(?:([0-9]+)|"([0-9]+)")\s*(?:;.*)?', re.IGNORECASE)


def may_wait(
    operation: Callable[Concatenate[RequestType, Parameters], Mapping[str, Any]],
) -> Callable[Concatenate[RequestType, Parameters], Mapping[str, Any]]:
    """Let a caller wait until a change is in force; without the header the operation is as it was.

    Stands outside `repeatable`: nobody waits while a transaction or a lock is held.
    """

    @reads_header("Prefer")
    @wraps(operation)
    def answered(request: RequestType, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Mapping[str, Any]:
        seconds = _seconds(request)
        if seconds is None:
            return operation(request, *args, **kwargs)
        answer, change = propagation.carry_out(lambda: operation(request, *args, **kwargs))
        found, is_heeded = propagation.wait(change, seconds)
        if is_heeded:
            request.preference_applied = f"wait={seconds}"  # type: ignore[attr-defined]  # read by tell
        gateways = {"acknowledged": found.acknowledged, "live": found.live}
        return {**answer, "propagated": found.is_complete, "gateways": gateways}

    return answered


def tell(request: HttpRequest, response: HttpResponse) -> None:
    """Say on an answer which preference was heeded, if one was."""
    applied = getattr(request, "preference_applied", None)
    if applied is not None:
        response["Preference-Applied"] = applied


def _seconds(request: HttpRequest) -> int | None:
    """Return how long to wait; None where nobody asks for it as RFC 7240 has it."""
    for preference in request.headers.get("Prefer", "")[:1000].split(","):
        if match := _WAIT.fullmatch(preference):
            digits = (match[1] or match[2]).lstrip("0")
            # Too many digits are a long wait, and not worth a conversion.
            return min(int(digits[:9] or "0"), propagation.LONGEST_WAIT_SECONDS)
    return None
