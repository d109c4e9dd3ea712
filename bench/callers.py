"""Callers of web pages and routes: what a call costs the server's processes, and how long it takes."""

import http.client
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.stage import cpu_of_group, serving

THREADS = 4
CLIENTS = 4


@dataclass(frozen=True)
class Call:
    """One route as a client calls it."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Figures:
    """What calls cost: CPU milliseconds each, calls a second, the 99th percentile of latency in milliseconds."""

    cpu: float
    rate: float
    p99: float


def measure(target: str, calls: Mapping[str, Call], seconds: float) -> dict[str, Figures]:
    """Serve an application, and return the figures of each of its routes."""
    with serving(target, THREADS) as (port, group):
        found = {}
        for name, call in calls.items():
            _load(port, call, seconds / 4)
            before, began = cpu_of_group(group), time.monotonic()
            latencies = _load(port, call, seconds)
            took, used = time.monotonic() - began, cpu_of_group(group) - before
            p99 = statistics.quantiles(latencies, n=100)[98]
            found[name] = Figures(used / len(latencies) * 1e3, len(latencies) / took, p99 * 1e3)
        return found


def _load(port: int, call: Call, seconds: float) -> list[float]:
    latencies: list[float] = []
    problems: list[str] = []

    def work() -> None:
        with _connection(port) as connection:
            while time.monotonic() < end and not problems:
                began = time.perf_counter()
                connection.request(call.method, call.path, call.body, call.headers)
                response = connection.getresponse()
                answer = response.read()
                if response.status != 200:
                    problems.append(f"{response.status}: {answer[:200]!r}")
                latencies.append(time.perf_counter() - began)

    end = time.monotonic() + seconds
    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise RuntimeError(problems[0])
    return latencies


@contextmanager
def _connection(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        yield connection
    finally:
        connection.close()
