"""The two clients: the only code here that does I/O. Both drive the same conversations.

They stand on httpx's transports rather than its clients, which would follow redirects if told to, keep
cookies, and log a line for every check.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar, Unpack
from weakref import WeakKeyDictionary

import httpx

from keystead_client import admission, audit, checks, keys, management
from keystead_client.audit_results import LogEntry
from keystead_client.options import LogFilters
from keystead_client.shared import Client, described, httpx_request, no_answer
from keystead_client.wire import Answer, NoAnswer, Operation, Pause, Request

P = ParamSpec("P")
T = TypeVar("T")


def _blocking(build: Callable[P, Operation[T]]) -> Callable[Concatenate["Keystead", P], T]:
    """Return the method that asks what `build` says, and waits."""

    def method(self: "Keystead", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._carry_out(build(*args, **kwargs))

    return described(method, build)


def _awaiting(build: Callable[P, Operation[T]]) -> Callable[Concatenate["AsyncKeystead", P], Awaitable[T]]:
    """Return the coroutine method that asks what `build` says."""

    async def method(self: "AsyncKeystead", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._carry_out(build(*args, **kwargs))

    return described(method, build)


class Keystead(Client):
    """Keystead for threads: one object for a whole process, shared by all of them."""

    list_apps = _blocking(management.list_apps)
    create_app = _blocking(management.create_app)
    get_app = _blocking(management.get_app)
    update_app = _blocking(management.update_app)
    preview_policy = _blocking(management.preview_policy)
    delete_app = _blocking(management.delete_app)
    list_keys = _blocking(keys.list_keys)
    create_key = _blocking(keys.create_key)
    update_key = _blocking(keys.update_key)
    rotate_key = _blocking(keys.rotate_key)
    change_overlap = _blocking(keys.change_overlap)
    end_overlap = _blocking(keys.end_overlap)
    revoke_key = _blocking(keys.revoke_key)
    undo_revoke = _blocking(keys.undo_revoke)
    disable_key = _blocking(keys.disable_key)
    enable_key = _blocking(keys.enable_key)
    preview_impact = _blocking(keys.preview_impact)
    remove_subject = _blocking(management.remove_subject)
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
            response = self._own_http().handle_request(httpx_request(request))
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
            return no_answer(problem)
        return Answer(response.status_code, response.headers, bytes(body[: request.most_bytes]))

    def _own_http(self) -> httpx.HTTPTransport:
        """Return this process's connections: on one shared with a parent, answers would get mixed up."""
        if self._pid != os.getpid():
            self._before_fork.append(self._http)  # never closed here: the parent still uses them
            self._http, self._pid = httpx.HTTPTransport(**self._options()), os.getpid()
        return self._http


class AsyncKeystead(Client):
    """Keystead for asyncio: one object for a whole process. Each event loop has connections of its own."""

    list_apps = _awaiting(management.list_apps)
    create_app = _awaiting(management.create_app)
    get_app = _awaiting(management.get_app)
    update_app = _awaiting(management.update_app)
    preview_policy = _awaiting(management.preview_policy)
    delete_app = _awaiting(management.delete_app)
    list_keys = _awaiting(keys.list_keys)
    create_key = _awaiting(keys.create_key)
    update_key = _awaiting(keys.update_key)
    rotate_key = _awaiting(keys.rotate_key)
    change_overlap = _awaiting(keys.change_overlap)
    end_overlap = _awaiting(keys.end_overlap)
    revoke_key = _awaiting(keys.revoke_key)
    undo_revoke = _awaiting(keys.undo_revoke)
    disable_key = _awaiting(keys.disable_key)
    enable_key = _awaiting(keys.enable_key)
    preview_impact = _awaiting(keys.preview_impact)
    remove_subject = _awaiting(management.remove_subject)
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
        http = self._own_http()
        try:
            async with asyncio.timeout(request.timeout_seconds):
                response = await http.handle_async_request(httpx_request(request))
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
            return no_answer(problem)
        return Answer(response.status_code, response.headers, bytes(body[: request.most_bytes]))

    def _own_http(self) -> httpx.AsyncHTTPTransport:
        """Return the running loop's connections: those of another loop, or of a parent process, cannot be used."""
        loop = asyncio.get_running_loop()
        http = self._https.get(loop)
        if http is None:
            for other in filter(None, [reference() for reference in self._https.keyrefs()]):
                if other.is_closed():  # its connections know it, so it would be kept with them for ever
                    self._https.pop(other, None)
            http = self._https[loop] = httpx.AsyncHTTPTransport(**self._options())
        return http
