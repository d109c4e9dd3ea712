"""Starlette: a decorator for endpoints. Also what the FastAPI dependency stands on."""

from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import iscoroutinefunction
from ipaddress import ip_address
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from keystead_client.admission import Admission, Incoming
from keystead_client.client import AsyncKeystead

ClientIp = Callable[[Request], str | None]
Endpoint = Callable[[Request], Any]


def peer_ip(request: Request) -> str | None:
    """Return the address that connected, None where it has none: over a socket in the file system, or in a test.

    Behind a proxy of yours, give `client_ip` a function of your own.
    """
    try:
        return str(ip_address(request.client.host)) if request.client else None
    except ValueError:
        return None


async def admit(
    request: Request,
    *permissions: str,
    keystead: AsyncKeystead | None = None,
    client_ip: ClientIp = peer_ip,
) -> Admission:
    """Check a request with the given client, or with `app.state.keystead`."""
    client: AsyncKeystead = keystead if keystead is not None else request.app.state.keystead
    incoming = Incoming(
        authorization=request.headers.getlist("authorization"),
        api_key=request.headers.getlist("x-api-key"),
        method=request.method,
        resource=_path(request),
        client_ip=client_ip(request),
        user_agent=request.headers.get("user-agent"),
    )
    return await client.admit(incoming, permissions)


def requires(
    *permissions: str, keystead: AsyncKeystead | None = None, client_ip: ClientIp = peer_ip
) -> Callable[[Endpoint], Callable[[Request], Awaitable[Response]]]:
    """Let an endpoint run only on a clear yes; its decision is `request.state.keystead`."""

    def decorate(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        @wraps(endpoint)
        async def guarded(request: Request) -> Response:
            admission = await admit(request, *permissions, keystead=keystead, client_ip=client_ip)
            if (refusal := admission.refusal) is not None:
                return JSONResponse(refusal.body, refusal.status, refusal.headers)
            request.state.keystead = admission.decision
            run = endpoint(request) if iscoroutinefunction(endpoint) else run_in_threadpool(endpoint, request)
            response: Response = await run
            response.headers.update(admission.headers)
            return response

        return guarded

    return decorate


def _path(request: Request) -> str:
    """Return the path as it came: decoding it here would hide an encoded slash from the gateway."""
    raw: bytes | None = request.scope.get("raw_path")
    return raw.decode("latin-1").partition("?")[0] if raw else quote(request.scope["path"])
