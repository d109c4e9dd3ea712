"""What both clients have in common: what they are told, how they hand a request to httpx, how methods look."""

import inspect
import ssl
from collections.abc import Callable
from functools import cached_property
from typing import Any, ParamSpec, TypeVar

import httpx

from keystead_client.settings import OnUnavailable, Settings
from keystead_client.wire import NoAnswer, Request

P = ParamSpec("P")
T = TypeVar("T")
KEEP_ALIVE_SECONDS = 5.0  # less than the gateway's own 10, so that it is never the one who hangs up on a question


def described(method: Callable[P, T], build: Callable[..., Any]) -> Callable[P, T]:
    """Give a method the name, the words and the signature of what it asks, for `help()` and editors."""
    described: Any = method
    described.__name__, described.__doc__ = build.__name__, build.__doc__
    signature = inspect.signature(build)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    described.__signature__ = signature.replace(parameters=[own, *signature.parameters.values()])
    return method


class Client:
    """What both clients are told, once."""

    def __init__(
        self,
        url: str | None = None,
        backend_key: str | None = None,
        *,
        gateway_url: str | None = None,
        gateway_key: str | None = None,
        app_slug: str | None = None,
        deployment_id: str | None = None,
        on_unavailable: OnUnavailable = "deny",
        check_timeout_seconds: float = 1.0,
        management_timeout_seconds: float = 10.0,
        retries: int = 2,
        most_connections: int = 100,
        verify: Any = True,
    ) -> None:
        """Keep what is needed; nothing is sent yet.

        `url` and `backend_key` are for management, `gateway_url` for checks, `gateway_key` for a gateway
        that asks for one. With `app_slug` or `deployment_id`, keys of others count as unknown: give one.
        `on_unavailable="allow"` lets calls through, unchecked and unrecorded, while the gateway is away.
        The time-outs bound each wait of a call, and the whole of its answer's body; `AsyncKeystead` bounds
        the whole call. `retries` is how often a call is sent again where that is safe.
        `verify` is httpx's: True, or an `ssl.SSLContext`. Proxies of the environment are not used.
        """
        self._settings = Settings(
            url=url,
            backend_key=backend_key,
            gateway_url=gateway_url,
            gateway_key=gateway_key,
            app_slug=app_slug,
            deployment_id=deployment_id,
            on_unavailable=on_unavailable,
            check_timeout_seconds=check_timeout_seconds,
            management_timeout_seconds=management_timeout_seconds,
            retries=retries,
            most_connections=most_connections,
        )
        self._verify = verify
        self._start()

    def _start(self) -> None:
        """Make what a client of its kind needs."""

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """Return whom to trust: read once, for that takes far longer than a check."""
        return httpx.create_ssl_context(self._verify, trust_env=False)

    def _options(self) -> dict[str, Any]:
        most = self._settings.most_connections
        limits = httpx.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=KEEP_ALIVE_SECONDS)
        return {"limits": limits, "verify": self._trust, "trust_env": False}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(url={self._settings.url!r}, gateway_url={self._settings.gateway_url!r})"


def httpx_request(request: Request) -> httpx.Request:
    """Return a request as httpx sends it."""
    timeout = dict.fromkeys(("connect", "read", "write", "pool"), request.timeout_seconds)
    return httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        content=request.content,
        extensions={"timeout": timeout},
    )


def no_answer(problem: httpx.HTTPError) -> NoAnswer:
    """Return what is known of a failure: its kind alone, for httpx's exceptions hold the request."""
    return NoAnswer(
        type(problem).__name__,
        nothing_was_sent=isinstance(problem, httpx.ConnectError),
        timed_out=isinstance(problem, httpx.TimeoutException),
    )
