"""The two clients: the only code here that does I/O. Both drive the same conversations.

They stand on httpx's transports rather than its clients, which would follow redirects if told to, keep
cookies, and log a line for every check.
"""

import asyncio
import inspect
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack
from weakref import WeakKeyDictionary

import httpx

from keystead_client import admission, audit, checks, management
from keystead_client.options import LogFilters
from keystead_client.results import LogEntry
from keystead_client.settings import OnUnavailable, Settings
from keystead_client.wire import Answer, NoAnswer, Operation, Pause, Request

P = ParamSpec("P")
T = TypeVar("T")
KEEP_ALIVE_SECONDS = 5.0  # less than the gateway's own 10, so that it is never the one who hangs up on a question


def _blocking(build: Callable[P, Operation[T]]) -> Callable[Concatenate["Keystead", P], T]:
    """Return the method that asks what `build` says, and waits."""

    def method(self: "Keystead", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._carry_out(build(*args, **kwargs))

    return _described(method, build)


def _awaiting(build: Callable[P, Operation[T]]) -> Callable[Concatenate["AsyncKeystead", P], Awaitable[T]]:
    """Return the coroutine method that asks what `build` says."""

    async def method(self: "AsyncKeystead", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._carry_out(build(*args, **kwargs))

    return _described(method, build)


def _described(method: Callable[P, T], build: Callable[..., Any]) -> Callable[P, T]:
    """Give a method the name, the words and the signature of what it asks, for `help()` and editors."""
    described: Any = method
    described.__name__, described.__doc__ = build.__name__, build.__doc__
    signature = inspect.signature(build)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    described.__signature__ = signature.replace(parameters=[own, *signature.parameters.values()])
    return method


class _Client:
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

    @property
    def url(self) -> str | None:
        """Return where management calls go, which is where browsers are sent to as well."""
        return self._settings.url

    def _options(self) -> dict[str, Any]:
        most = self._settings.most_connections
        limits = httpx.Limits(max_connections=most, max_keepalive_connections=most, keepalive_expiry=KEEP_ALIVE_SECONDS)
        return {"limits": limits, "verify": self._verify, "trust_env": False}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(url={self._settings.url!r}, gateway_url={self._settings.gateway_url!r})"


class Keystead(_Client):
    """Keystead for threads: one object for a whole process, shared by all of them."""

    list_apps = _blocking(management.list_apps)
    create_app = _blocking(management.create_app)
    get_app = _blocking(management.get_app)
    update_app = _blocking(management.update_app)
    delete_app = _blocking(management.delete_app)
    list_keys = _blocking(management.list_keys)
    create_key = _blocking(management.create_key)
    rotate_key = _blocking(management.rotate_key)
    revoke_key = _blocking(management.revoke_key)
    list_schemes = _blocking(management.list_schemes)
    create_scheme = _blocking(management.create_scheme)
    get_scheme = _blocking(management.get_scheme)
    update_scheme = _blocking(management.update_scheme)
    delete_scheme = _blocking(management.delete_scheme)
    issue_ticket = _blocking(management.issue_ticket)
    list_logs = _blocking(audit.list_logs)
    analytics = _blocking(audit.analytics)
    timeseries = _blocking(audit.timeseries)
    check = _blocking(checks.check)
    check_batch = _blocking(checks.check_batch)
    admit = _blocking(admission.admit)

    def _start(self) -> None:
        self._http = httpx.HTTPTransport(**self._options())
        self._pid = os.getpid()
        self._before_fork: list[httpx.HTTPTransport] = []

    def iterate_logs(self, app_slug: str, **filters: Unpack[LogFilters]) -> Iterator[LogEntry]:
        """Yield decisions, the newest first, page by page; `limit` is the size of a page."""
        page = self.list_logs(app_slug, **filters)
        yield from page.data
        while page.has_more and page.next_cursor:
            page = self.list_logs(app_slug, cursor=page.next_cursor, **filters)
            yield from page.data

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _carry_out(self, operation: Operation[T]) -> T:
        conversation = operation.converse(self._settings)
        try:
            step = next(conversation)
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = conversation.send(None)
                else:
                    step = conversation.send(self._exchange(step))
        except StopIteration as end:
            result: T = end.value
            return result

    def _exchange(self, request: Request) -> Answer | NoAnswer:
        deadline = time.monotonic() + request.timeout_seconds
        try:
            response = self._own_http().handle_request(_httpx_request(request))
            try:
                body = bytearray()
                for chunk in response.iter_raw():
                    body += chunk
                    if len(body) > request.most_bytes:
                        break
                    if time.monotonic() > deadline:
                        return NoAnswer("the answer took too long", timed_out=True)
            finally:
                response.close()
        except httpx.HTTPError as problem:
            return _no_answer(problem)
        return Answer(response.status_code, response.headers, bytes(body[: request.most_bytes]))

    def _own_http(self) -> httpx.HTTPTransport:
        """Return this process's connections: on one shared with a parent, answers would get mixed up."""
        if self._pid != os.getpid():
            self._before_fork.append(self._http)  # never closed here: the parent still uses them
            self._http, self._pid = httpx.HTTPTransport(**self._options()), os.getpid()
        return self._http


class AsyncKeystead(_Client):
    """Keystead for asyncio: one object for a whole process. Each event loop has connections of its own."""

    list_apps = _awaiting(management.list_apps)
    create_app = _awaiting(management.create_app)
    get_app = _awaiting(management.get_app)
    update_app = _awaiting(management.update_app)
    delete_app = _awaiting(management.delete_app)
    list_keys = _awaiting(management.list_keys)
    create_key = _awaiting(management.create_key)
    rotate_key = _awaiting(management.rotate_key)
    revoke_key = _awaiting(management.revoke_key)
    list_schemes = _awaiting(management.list_schemes)
    create_scheme = _awaiting(management.create_scheme)
    get_scheme = _awaiting(management.get_scheme)
    update_scheme = _awaiting(management.update_scheme)
    delete_scheme = _awaiting(management.delete_scheme)
    issue_ticket = _awaiting(management.issue_ticket)
    list_logs = _awaiting(audit.list_logs)
    analytics = _awaiting(audit.analytics)
    timeseries = _awaiting(audit.timeseries)
    check = _awaiting(checks.check)
    check_batch = _awaiting(checks.check_batch)
    admit = _awaiting(admission.admit)

    def _start(self) -> None:
        self._https: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncHTTPTransport] = WeakKeyDictionary()

    async def iterate_logs(self, app_slug: str, **filters: Unpack[LogFilters]) -> AsyncIterator[LogEntry]:
        """Yield decisions, the newest first, page by page; `limit` is the size of a page."""
        page = await self.list_logs(app_slug, **filters)
        for entry in page.data:
            yield entry
        while page.has_more and page.next_cursor:
            page = await self.list_logs(app_slug, cursor=page.next_cursor, **filters)
            for entry in page.data:
                yield entry

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        http = self._https.pop(asyncio.get_running_loop(), None)
        if http is not None:
            await http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _carry_out(self, operation: Operation[T]) -> T:
        conversation = operation.converse(self._settings)
        try:
            step = next(conversation)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = conversation.send(None)
                else:
                    step = conversation.send(await self._exchange(step))
        except StopIteration as end:
            result: T = end.value
            return result

    async def _exchange(self, request: Request) -> Answer | NoAnswer:
        try:
            async with asyncio.timeout(request.timeout_seconds):
                response = await self._own_http().handle_async_request(_httpx_request(request))
                try:
                    body = bytearray()
                    async for chunk in response.aiter_raw():
                        body += chunk
                        if len(body) > request.most_bytes:
                            break
                finally:
                    await response.aclose()
        except TimeoutError:
            return NoAnswer("the answer took too long", timed_out=True)
        except httpx.HTTPError as problem:
            return _no_answer(problem)
        return Answer(response.status_code, response.headers, bytes(body[: request.most_bytes]))

    def _own_http(self) -> httpx.AsyncHTTPTransport:
        """Return the running loop's connections: those of another loop, or of a parent process, cannot be used."""
        loop = asyncio.get_running_loop()
        http = self._https.get(loop)
        if http is None:
            http = self._https[loop] = httpx.AsyncHTTPTransport(**self._options())
        return http


def _httpx_request(request: Request) -> httpx.Request:
    timeout = dict.fromkeys(("connect", "read", "write", "pool"), request.timeout_seconds)
    return httpx.Request(
        request.method,
        request.url,
        headers=request.headers,
        content=request.content,
        extensions={"timeout": timeout},
    )


def _no_answer(problem: httpx.HTTPError) -> NoAnswer:
    """Return what is known of a failure: its kind alone, for httpx's exceptions hold the request."""
    return NoAnswer(
        type(problem).__name__,
        nothing_was_sent=isinstance(problem, httpx.ConnectError),
        timed_out=isinstance(problem, httpx.TimeoutException),
    )
