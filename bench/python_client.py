"""A check through the Python client beside a bare httpx POST of the same body to the same gateway.

    python -m bench.python_client [--smoke] [--save]

CPU is that of this process, which is the caller's; the gateway runs in another. One call is under way
at a time, over one connection that stays open. Every figure is the median of five repeats that take
turns, so that other work on the machine falls on all alike.
"""

import asyncio
import gc
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path

import httpx

from bench.check import KEYS, body_of, prepared, seed
from bench.report import Options, Row, ratios, row, run
from bench.stage import serving

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients" / "python" / "src"))
from keystead_client import AsyncKeystead, Keystead  # the client is a package of its own

JSON = {"Content-Type": "application/json"}
CALL = {
    "method": "GET",
    "resource": "/v1/orders?page=2",
    "client_ip": "203.0.113.9",
    "user_agent": "product/1.0",
    "required_permissions": ["read:x"],
}
Figures = dict[str, list[tuple[float, float]]]


def timed(work: Callable[[int], bool], calls: int) -> tuple[float, float]:
    """Return CPU and wall microseconds a call."""
    cpu, wall = time.process_time(), time.perf_counter()
    for number in range(calls):
        assert work(number)
    return (time.process_time() - cpu) / calls * 1e6, (time.perf_counter() - wall) / calls * 1e6


async def timed_in_loop(work: Callable[[int], Awaitable[bool]], calls: int) -> tuple[float, float]:
    """Return CPU and wall microseconds a call."""
    cpu, wall = time.process_time(), time.perf_counter()
    for number in range(calls):
        assert await work(number)
    return (time.process_time() - cpu) / calls * 1e6, (time.perf_counter() - wall) / calls * 1e6


def blocking(url: str, secrets: list[str], calls: int, repeats: int) -> Figures:
    """Measure both ways in a thread."""
    bodies = [body_of(secret) for secret in secrets]
    figures: Figures = {"httpx, threads": [], "client, threads": []}
    with httpx.Client() as bare, Keystead(gateway_url=url, app_slug="aa_1") as keystead:

        def post(number: int) -> bool:
            answer = bare.post(f"{url}/v1/authz/check", content=bodies[number % KEYS], headers=JSON)
            return bool(answer.json()["allowed"])

        def check(number: int) -> bool:
            return keystead.check(secrets[number % KEYS], **CALL).allowed

        for work in (post, check):
            timed(work, calls // 10)
        for _ in range(repeats):
            figures["httpx, threads"].append(timed(post, calls))
            figures["client, threads"].append(timed(check, calls))
    return figures


async def awaiting(url: str, secrets: list[str], calls: int, repeats: int) -> Figures:
    """Measure both ways in a loop."""
    bodies = [body_of(secret) for secret in secrets]
    figures: Figures = {"httpx, asyncio": [], "client, asyncio": []}
    async with httpx.AsyncClient() as bare, AsyncKeystead(gateway_url=url, app_slug="aa_1") as keystead:

        async def post(number: int) -> bool:
            answer = await bare.post(f"{url}/v1/authz/check", content=bodies[number % KEYS], headers=JSON)
            return bool(answer.json()["allowed"])

        async def check(number: int) -> bool:
            return (await keystead.check(secrets[number % KEYS], **CALL)).allowed

        for work in (post, check):
            await timed_in_loop(work, calls // 10)
        for _ in range(repeats):
            figures["httpx, asyncio"].append(await timed_in_loop(post, calls))
            figures["client, asyncio"].append(await timed_in_loop(check, calls))
    return figures


def rows_of(figures: Figures) -> Iterator[Row]:
    """Yield what each way costs, and the ratios of client and httpx."""
    for place, unit in enumerate(("CPU", "wall")):
        taken = {name: [each[place] for each in found] for name, found in figures.items()}
        for name, microseconds in taken.items():
            yield row(f"{name}: {unit} µs a check", microseconds)
        for kind in ("threads", "asyncio"):
            times_bare = ratios(taken[f"client, {kind}"], taken[f"httpx, {kind}"])
            yield row(f"client / httpx, {kind}, {unit}", times_bare, at_most=1.15)


def table(options: Options) -> Iterable[Row]:
    """Measure both ways, in threads and in a loop."""
    calls, repeats = options.pick((500, 1), (5_000, 5))
    with prepared() as folder:
        secrets = seed(folder)
        logging.getLogger("httpx").setLevel(logging.WARNING)  # else it writes a line for each bare call
        gc.collect()
        gc.freeze()  # what was needed to prepare is no part of a caller
        with serving("config.gateway_wsgi:application", 4) as (port, _):
            url = f"http://127.0.0.1:{port}"
            figures = blocking(url, secrets, calls, repeats)
            figures |= asyncio.run(awaiting(url, secrets, calls, repeats))
    return rows_of(figures)


if __name__ == "__main__":
    run("python_client", table, __doc__, keys=KEYS, httpx=httpx.__version__)
