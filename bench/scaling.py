"""What a check costs with more processes and with more limits, and whether limits stay exact meanwhile.

    python -m bench.scaling [--smoke | --full] [--save]

Capacity is what so many processes could answer if each had a processor: processes / CPU per check. It is not
requests a second, since the load generator shares the machine. All processes share one count of each limit. So that
each is as busy as one alone, it is asked over as many connections: a server that finds fewer requests at a time wakes
up more often for each. The bare echo, in as many processes, shows what that server and this machine come to.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg

from bench.check import ECHO, body_of, prepared
from bench.report import Options, Row, ratios, row, run
from bench.seeding import A_LIMIT_NOBODY_REACHES, KEYS, NO_LIMIT, new_app, new_deployment, new_keys
from bench.stage import CONNECTIONS, cost, load, serving
from config.processes import GATEWAY_THREADS

GATEWAY, WITH_NO_LIMITS = "config.gateway_wsgi:application", "bench.unlimited_wsgi:application"
LIMIT = 20_000
UNLIMITED, SHARED = 0, -1
"""Stand for a number of rules: none at all, and one that all keys are counted by together."""
MANY_PROCESSES = 4
Figures = dict[int, list[float]]


def requests_of_apps(folder: Path, rules: Sequence[int]) -> tuple[dict[int, Path], Path]:
    """Make an app for each number of limits, and one whose limit is reached; return what to ask about each."""
    deployment_id = new_deployment()
    many = {}
    for count in rules:
        limits = [{**A_LIMIT_NOBODY_REACHES, "duration": 1 + number} for number in range(count)]
        many[count] = _requests(folder, new_keys(new_app(deployment_id, f"aa_{count}_rules", limits)))
    shared = {**A_LIMIT_NOBODY_REACHES, "mode": "per_app"}
    many[SHARED] = _requests(folder, new_keys(new_app(deployment_id, "aa_shared", [shared])))
    many[UNLIMITED] = _requests(folder, new_keys(new_app(deployment_id, "aa_unlimited", [NO_LIMIT])))
    a_day = {"unit": "day", "duration": 1, "max_requests": LIMIT, "mode": "per_app"}
    return many, _requests(folder, new_keys(new_app(deployment_id, "aa_exact", [a_day])))


def _requests(folder: Path, secrets: list[str]) -> Path:
    file = folder / f"bodies-{len(list(folder.glob('bodies-*')))}"
    file.write_bytes(b"\n".join(map(body_of, secrets)))
    return file


def by_rules(requests: dict[int, Path], seconds: float, repeats: int, connection: psycopg.Connection[Any]) -> Figures:
    """Return the CPU of a check under so many limits, asked of one process, by their number."""
    found: Figures = {count: [] for count in requests}
    with serving(GATEWAY, GATEWAY_THREADS) as (port, group):
        for _ in range(repeats):
            for count, file in requests.items():
                found[count].append(cost(port, group, file, seconds, connection).cpu)
    return found


def by_processes(
    requests: Path, processes: Sequence[int], seconds: float, repeats: int, connection: psycopg.Connection[Any]
) -> tuple[Figures, Figures]:
    """Return the CPU of a check with so many processes, by their number, and that of the echo."""
    checks: Figures = {count: [] for count in processes}
    echoes: Figures = {count: [] for count in processes}
    for _ in range(repeats):
        for count in processes:
            for target, found in ((GATEWAY, checks), (ECHO, echoes)):
                with serving(target, GATEWAY_THREADS, count) as (port, group):
                    one = cost(port, group, requests, seconds, connection, count * CONNECTIONS)
                    found[count].append(one.cpu)
    return checks, echoes


def by_sharing(requests: dict[int, Path], seconds: float, repeats: int, connection: psycopg.Connection[Any]) -> Figures:
    """Return the CPU of a check in several processes without a limit, and with one that all of them share."""
    found: Figures = {UNLIMITED: [], SHARED: []}
    with serving(WITH_NO_LIMITS, GATEWAY_THREADS, MANY_PROCESSES) as (port, group):
        for _ in range(repeats):
            for count, costs in found.items():
                costs.append(cost(port, group, requests[count], seconds, connection).cpu)
    return found


def admitted(requests: Path, processes: int) -> int:
    """Return how many checks a limit lets through, all told, when several processes are asked beyond it."""
    allowed = asked = 0
    with serving(GATEWAY, GATEWAY_THREADS, processes) as (port, _):
        while asked < 1.5 * LIMIT:
            found = load(port, requests, 1)
            asked += found["answers"]
            allowed += found["answers"] - found["refused"] - found["blocked"]
    return allowed


def table(options: Options) -> Iterable[Row]:
    """Measure all of it."""
    seconds, repeats = options.pick(0.5, 3.0), options.pick(1, 3, 5)
    rules, processes = options.pick((1, 5), (1, 2, 5, 10, 20)), options.pick((1, 2), (1, 2, 4))
    with prepared() as folder, psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        many, exact = requests_of_apps(folder, rules)
        limited = by_rules({count: many[count] for count in rules}, seconds, repeats, connection)
        sharing = by_sharing(many, seconds, repeats, connection)
        shared, echoes = by_processes(many[1], processes, seconds, repeats, connection)
        through = admitted(exact, MANY_PROCESSES)
    return [
        *rows_of_processes(shared),
        *rows_of_echoes(echoes),
        exactness(through),
        row_of_sharing(sharing),
        *rows_of_rules(limited),
    ]


def rows_of_echoes(found: Figures) -> Iterator[Row]:
    """Yield the capacity of the bare echo, to see that of the check beside it."""
    for count, cpu in found.items():
        if count > 1:
            yield row(f"bare echo: {count} processes / one, capacity by CPU", _capacity(found, count))
        yield row(f"bare echo, processes: {count}, CPU µs a request", cpu)


def _capacity(found: Figures, count: int) -> list[float]:
    return [count * ratio for ratio in ratios(found[1], found[count])]


def rows_of_processes(found: Figures) -> Iterator[Row]:
    """Yield the capacity against one process, and what a check costs."""
    for count in found:
        if count > 1:
            what = f"{count} processes / one, capacity by CPU"
            capacity = _capacity(found, count)
            yield row(f"P6 {what}", capacity, at_least=1.6, sane=0.8) if count == 2 else row(what, capacity)
    for count, cpu in found.items():
        yield row(f"processes: {count}, CPU µs a check", cpu)


def exactness(through: int) -> Row:
    """Return whether a limit held to the last check."""
    is_exact = through == LIMIT
    return Row(f"P6 let through by a limit of {LIMIT:,} in {MANY_PROCESSES} processes", through, f"{LIMIT:,}", is_exact,
               sane=is_exact)  # fmt: skip


def row_of_sharing(found: Figures) -> Row:
    """Return what a limit costs when several processes count by it."""
    what = f"P9 a limit that {MANY_PROCESSES} processes share / none, CPU"
    return row(what, ratios(found[SHARED], found[UNLIMITED]), at_most=1.3, sane=2.5)


def rows_of_rules(found: Figures) -> Iterator[Row]:
    """Yield what limits add to a check."""
    for count, cpu in found.items():
        if count > 1:
            yield row(f"a check under {count} limits / under one, CPU", ratios(cpu, found[1]))
    for count, cpu in found.items():
        yield row(f"limits: {count}, CPU µs a check", cpu)


if __name__ == "__main__":
    run("scaling", table, __doc__, connections=CONNECTIONS, keys=KEYS, threads=GATEWAY_THREADS)
