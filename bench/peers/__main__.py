"""The check beside what else there is, on the same server with the same threads, in one run.

    python -m bench.peers [--smoke | --full] [--save]

The figure is CPU per request of the server's processes, at 64 connections that stay open, over 2,000 keys.
That of PostgreSQL's sessions stands in rows of its own, and requests a second are context: the load generator
and the database share the machine. The contestants take turns; a ratio is taken within a round.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.check import body_of, prepared, seed
from bench.report import Options, Row, ratios, row, run
from bench.stage import CONNECTIONS, Cost, cost, serving
from config.processes import GATEWAY_THREADS

KEYS = 2_000
CHECK, ECHO = "check", "bare echo"
VIEW, QUERY = "the check in a Django view", "a Django view that asks the database"
UNCHECKED, API_KEY, KNOX = "a DRF view that checks nothing", "djangorestframework-api-key", "django-rest-knox"
GATEWAY = "config.gateway_wsgi:application"
OURS = {
    CHECK: GATEWAY,
    ECHO: "bench.check:echo",
    VIEW: "bench.peers.django_gateway.wsgi:application",
    QUERY: "bench.peers.django_query.wsgi:application",
}
PEERS = {UNCHECKED: "unchecked", API_KEY: "api_key", KNOX: "rest_knox"}
WITH_TWO_WORKERS = (CHECK, API_KEY, KNOX)


@dataclass(frozen=True)
class Contestant:
    """An application, what it is asked, and in which environment it lives."""

    name: str
    target: str
    requests: Path
    environment: dict[str, str]


Costs = dict[str, list[Cost]]


def contestants(folder: Path, secrets: list[str], url: str) -> list[Contestant]:
    """Make the keys of all, and return who takes part."""
    bodies = folder / "bodies"
    bodies.write_bytes(b"\n".join(map(body_of, secrets)))
    ours = [Contestant(name, target, bodies, {}) for name, target in OURS.items()]
    return ours + [peer_of(name, package, folder, url) for name, package in PEERS.items()]


def peer_of(name: str, package: str, folder: Path, url: str) -> Contestant:
    """Give a peer a database of its own with keys in it."""
    database = f"peer_{package}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database}")  # type: ignore[arg-type]  # our own name
    requests = folder / f"{package}.http"
    environment = {"BENCH_DATABASE_URL": url_to(url, database)}
    command = [sys.executable, "-m", "bench.peers.keys", package, str(KEYS), str(requests)]
    subprocess.run(command, check=True, env={**os.environ, **environment})
    return Contestant(name, f"bench.peers.{package}.wsgi:application", requests, environment)


def url_to(url: str, database: str) -> str:
    """Return the address of another database of the same server."""
    before, _, after = url.partition("?")
    return f"{before.rpartition('/')[0]}/{database}?{after}"


def rounds(
    all_of_them: list[Contestant], with_two_workers: Iterable[str], seconds: float, repeats: int, url: str
) -> tuple[Costs, Costs]:
    """Let all take turns with one worker, and some with two; return the costs of every round."""
    one: Costs = {each.name: [] for each in all_of_them}
    two: Costs = {name: [] for name in with_two_workers}
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(repeats):
            for each in all_of_them:
                one[each.name].append(_cost_of(each, 1, seconds, connection))
                if each.name in two:
                    two[each.name].append(_cost_of(each, 2, seconds, connection))
    return one, two


def _cost_of(each: Contestant, workers: int, seconds: float, connection: psycopg.Connection) -> Cost:
    with serving(each.target, GATEWAY_THREADS, workers, each.environment) as (port, group):
        return cost(port, group, each.requests, seconds, connection)


def rows_of(one: Costs, two: Costs) -> Iterator[Row]:
    """Yield the ratios, then what they are made of."""
    cpu = {name: [each.cpu for each in costs] for name, costs in one.items()}
    yield row("P1 the check in a Django view / check, CPU", ratios(cpu[VIEW], cpu[CHECK]), at_least=4, sane=1.2)
    yield row("P4 djangorestframework-api-key / check, CPU", ratios(cpu[API_KEY], cpu[CHECK]), at_least=25, sane=3)
    yield row("P4 django-rest-knox / check, CPU", ratios(cpu[KNOX], cpu[CHECK]), at_least=45, sane=5)
    for name, least in ((API_KEY, 12), (KNOX, 22)):
        if name in two:
            times = ratios([each.cpu for each in two[name]], [each.cpu for each in two[CHECK]])
            yield row(f"P4 {name} / check, CPU, two workers", times, at_least=least)
    for name in (QUERY, UNCHECKED):
        yield row(f"{name} / check, CPU", ratios(cpu[name], cpu[CHECK]))
    yield row("check / bare echo, CPU", ratios(cpu[CHECK], cpu[ECHO]))
    yield from context(one, "")
    yield from context(two, ", two workers")


def context(costs: Costs, workers: str) -> Iterator[Row]:
    """Yield the absolute figures."""
    for name, each in costs.items():
        yield row(f"{name}{workers}: CPU µs a request", [cost.cpu for cost in each])
        if statistics.median(cost.database for cost in each) >= 1:
            yield row(f"{name}{workers}: PostgreSQL's CPU µs a request", [cost.database for cost in each])
        yield row(f"{name}{workers}: requests a second", [cost.rate for cost in each])


def table(options: Options) -> Iterable[Row]:
    """Measure all of them."""
    seconds, repeats = options.pick(0.7, 4.0), options.pick(1, 3, 5)
    with prepared() as folder:
        url = os.environ["DATABASE_URL"]
        entrants = contestants(folder, seed(folder), url)
        with_two = options.pick((), WITH_TWO_WORKERS)
        return list(rows_of(*rounds(entrants, with_two, seconds, repeats, url)))


if __name__ == "__main__":
    run("peers", table, __doc__, connections=CONNECTIONS, keys=KEYS, threads=GATEWAY_THREADS)
