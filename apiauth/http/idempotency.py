"""Reads `Idempotency-Key`, and answers a creating call that is sent again as it was answered first."""

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from apiauth.core.errors import Invalid
from apiauth.http.auth import BackendRequest, SessionRequest
from apiauth.http.openapi.describe import reads_header
from apiauth.services.idempotency import RepeatableCall, answer_once

Parameters = ParamSpec("Parameters")
RequestType = TypeVar("RequestType", BackendRequest, SessionRequest)
HEADER = "Idempotency-Key"
_NAME = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")


def repeatable(
    operation: Callable[Concatenate[RequestType, Parameters], Mapping[str, Any]],
) -> Callable[Concatenate[RequestType, Parameters], Mapping[str, Any]]:
    """Let an operation be sent again without a second effect; without the header it is as it was."""

    @reads_header(HEADER, refusals=(409, 422))
    @wraps(operation)
    def answered(request: RequestType, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Mapping[str, Any]:
        name = request.headers.get(HEADER)
        if name is None:
            return operation(request, *args, **kwargs)
        if not _NAME.fullmatch(name):
            raise Invalid(f"{HEADER} must be 1 to 255 printable ASCII characters.", field=HEADER)
        call = RepeatableCall(
            caller=request.auth.credential,
            route=f"{request.method} {request.path}",
            name=name,
            body=request.body,
        )
        return answer_once(call, lambda: operation(request, *args, **kwargs), now=request.auth.now)

    return answered
