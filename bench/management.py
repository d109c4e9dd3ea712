"""The backend API beside the same routes as bare Django views, in one run: list, create, issue a ticket.

    python -m bench.management [--smoke] [--save]

Both are served by the same server with the same threads over the same database. CPU per call is
that of the server's processes; calls per second and latency are context, since the clients share
the machine. Every figure is the median of the repeats, which take turns.
"""

import http.client
import os
import statistics
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.check import prepared
from bench.report import Options, Row, ratios, row, run
from bench.seeding import new_app, new_deployment, new_keys
from bench.stage import cpu_of_group, serving

KEYS = 10_000
THREADS = 4
CLIENTS = 4
LIST, CREATE, TICKET = "list of 10 k keys", "create a key", "issue a ticket"
APPLICATIONS = {"Keystead": "config.wsgi:application", "bare views": "bench.bare_wsgi:application"}


@dataclass(frozen=True)
class Call:
    """One route as a client calls it."""

    method: str
    path: str
    body: bytes | None = None


CALLS = {
    LIST: Call("GET", "/api-auth/apps/aa_list/keys"),
    CREATE: Call("POST", "/api-auth/apps/aa_1/keys", b'{"name": "bench", "permissions": ["read:x"]}'),
    TICKET: Call(
        "POST", "/session/tickets", b'{"ticket_type": "api_auth_access", "api_auth_app_slug": "aa_1", "role": "admin"}'
    ),
}


@dataclass(frozen=True)
class Figures:
    """What calls cost: CPU milliseconds each, calls a second, the 99th percentile of latency in milliseconds."""

    cpu: float
    rate: float
    p99: float


def seed() -> str:
    """Make an app to list and one to write to; return a backend key."""
    deployment_id = new_deployment()
    from apiauth.core import clock
    from apiauth.core.actor import SYSTEM
    from apiauth.services import deployments

    new_app(deployment_id, "aa_1")
    new_keys(new_app(deployment_id, "aa_list"), KEYS)
    issued = deployments.issue_backend_key(deployment_id=deployment_id, name="bench", actor=SYSTEM, now=clock.now())
    return issued.secret.text


def measure(target: str, backend_key: str, seconds: float) -> dict[str, Figures]:
    """Return the figures of each route of one application."""
    with serving(target, THREADS) as (port, group):
        found = {}
        for name, call in CALLS.items():
            _load(port, backend_key, call, seconds / 4)
            before, began = cpu_of_group(group), time.monotonic()
            latencies = _load(port, backend_key, call, seconds)
            took, used = time.monotonic() - began, cpu_of_group(group) - before
            p99 = statistics.quantiles(latencies, n=100)[98]
            found[name] = Figures(used / len(latencies) * 1e3, len(latencies) / took, p99 * 1e3)
        return found


def _load(port: int, backend_key: str, call: Call, seconds: float) -> list[float]:
    latencies: list[float] = []
    problems: list[str] = []

    def work() -> None:
        with _connection(port) as connection:
            while time.monotonic() < end and not problems:
                began = time.perf_counter()
                headers = {"Authorization": f"Bearer {backend_key}", "Content-Type": "application/json"}
                connection.request(call.method, call.path, call.body, headers)
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


def rows_of(found: dict[str, list[dict[str, Figures]]]) -> Iterator[Row]:
    """Yield the table: context first, then each route's ratio."""
    for route in CALLS:
        cpu = {}
        for name, repeats in found.items():
            figures = [repeat[route] for repeat in repeats]
            cpu[name] = [figure.cpu for figure in figures]
            yield row(f"{route}, {name}: CPU ms a call", cpu[name])
            yield row(f"{route}, {name}: calls a second", [figure.rate for figure in figures])
            yield row(f"{route}, {name}: p99 ms", [figure.p99 for figure in figures])
        times_bare = ratios(cpu["Keystead"], cpu["bare views"])
        yield row(f"P16 {route}: Keystead / bare views, CPU", times_bare, at_most=1.5, sane=5)


def table(options: Options) -> Iterable[Row]:
    """Let both applications take turns."""
    seconds, repeats = options.pick(0.5, 4.0), options.pick(1, 3, 5)
    found: dict[str, list[dict[str, Figures]]] = {name: [] for name in APPLICATIONS}
    with prepared():
        os.environ["KEYSTEAD_CALLS_PER_MINUTE"] = "1000000"  # it is the cost that is measured, not the limit
        backend_key = seed()
        for _ in range(repeats):
            for name, target in APPLICATIONS.items():
                found[name].append(measure(target, backend_key, seconds))
    return rows_of(found)


if __name__ == "__main__":
    run("management", table, __doc__, clients=CLIENTS, threads=THREADS, keys=KEYS)
