"""Four gateways count the same limits, on one host and on two, under load below, at and above them, through kills.

    python -m bench.limits [--smoke | --full] [--save]

Each load lasts a whole minute; in each, every gateway is killed once and started again. Every window of a
second and of a minute is judged by the callers' own log (`bench.limit_load`). And what it costs: a
count in the mapped file, with and without leases, and a call that has to wait for a lease.
"""

import os
import statistics
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench.check import SERVE, body_of, prepared, wait_until_ready
from bench.faults import Victim, free_port
from bench.limit_load import Load, Window, stated_remainder
from bench.report import Options, Row, row, run
from bench.seeding import new_app, new_deployment, new_keys
from config.processes import GATEWAY_THREADS

if TYPE_CHECKING:
    from apiauth.verify.limiter import Claim, Limiter

GATEWAYS = 4
LIMITS = {"second": (100, 1_000), "minute": (1_000, 60_000)}
LOADS = (0.9, 1, 10)
CALLS = 50_000
HOSTS = (1, 2)


def storm(folder: Path, hosts: int, seconds: float, bodies: dict[str, bytes]) -> list[Row]:
    """Put every load on gateways of so many hosts; return what came of it."""
    ports = [free_port() for _ in range(GATEWAYS)]
    victims = [_gateway(port, folder / f"{hosts}-{number % hosts}", hosts) for number, port in enumerate(ports)]
    loads = {}
    try:
        for port in ports:
            wait_until_ready(port)
        loads = {unit: Load(ports, body) for unit, body in bodies.items()}
        first = time.time() + -time.time() % seconds
        phases = {
            factor: _phase(loads, factor, first + turn * seconds, seconds, list(zip(ports, victims, strict=True)))
            for turn, factor in enumerate(LOADS)
        }
    finally:
        for load in loads.values():
            load.end()
        for victim in victims:
            victim.kill()
    return [row for unit, load in loads.items() for row in _rows(unit, load, hosts, phases)]


def _gateway(port: int, place: Path, hosts: int) -> Victim:
    """Start a gateway of the host that has this folder."""
    return Victim(
        SERVE, "config.gateway_wsgi:application", port, GATEWAY_THREADS,
        KEYSTEAD_LIMITS="shared" if hosts > 1 else "host",
        KEYSTEAD_LIMITS_DIR=place / "limits", KEYSTEAD_SPOOL_DIR=place / "spool",
    )  # fmt: skip


def _phase(
    loads: dict[str, Load], factor: float, began: float, seconds: float, gateways: list[tuple[int, Victim]]
) -> tuple[float, float]:
    """Keep up one load for so long, and kill each gateway once; return the milliseconds it lasted from and until."""
    _sleep_until(began)
    for unit, load in loads.items():
        limit, length_ms = LIMITS[unit]
        load.pace(factor * limit * 1_000 / length_ms)
    for turn, (port, victim) in enumerate(gateways):
        _sleep_until(began + (turn + 0.5) * seconds / GATEWAYS)
        victim.kill()
        victim.start()
        wait_until_ready(port)
    _sleep_until(began + seconds)
    return began * 1_000, (began + seconds) * 1_000


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.time()))


def _rows(unit: str, load: Load, hosts: int, phases: dict[float, tuple[float, float]]) -> Iterator[Row]:
    limit, length_ms = LIMITS[unit]
    windows = load.judged(limit, length_ms)
    held = stated_remainder(limit, hosts, GATEWAYS // hosts) if hosts > 1 else 0
    place = "one host" if hosts == 1 else f"{hosts} hosts"
    for factor, (began, ended) in phases.items():
        within = [window for window in windows if began <= window.starts_ms < ended]
        if within:
            yield from _judgement(f"{limit} a {unit} on {place}, load {factor:g}:", within, held)


def _judgement(name: str, windows: list[Window], held: int) -> Iterator[Row]:
    yield Row(f"{name} windows", len(windows))
    yield Row(f"{name} of them with all gateways interleaved", sum(window.has_overlap for window in windows))
    yield Row(f"{name} calls", sum(window.demand for window in windows))
    yield Row(f"{name} admitted", sum(window.admitted for window in windows))
    yield row(f"{name} over", sum(window.over for window in windows), at_most=0, sane=0)
    yield row(f"{name} most under in a window", max(window.under for window in windows), at_most=held, sane=held)


def costs(folder: Path, repeats: int) -> Iterator[Row]:
    """Yield what a count costs, in microseconds of processor time, and a call that waits for a lease."""
    from apiauth.verify.lease_store import LeaseStore
    from apiauth.verify.leases import LeasedLimiter
    from apiauth.verify.limiter import Limiter

    host = Limiter(folder / "costs")
    shared = LeasedLimiter(folder / "costs", LeaseStore(os.environ["DATABASE_URL"]))
    for count in (1, 3):
        alone = [_cost(host, count) for _ in range(repeats)]
        leased = [_cost(shared, count) for _ in range(repeats)]
        yield row(f"a count of {count} limit(s) on one host (µs)", alone)
        yield row(
            f"a count of {count} limit(s), shared, while enough is held (µs)",
            leased,
            at_most=statistics.median(alone) + 0.5,
        )
    yield row("a call that waits for a lease (µs)", [_wait(shared) for _ in range(20 * repeats)])
    shared.close()
    host.close()


def _claims(count: int, limit: int) -> list["Claim"]:
    from apiauth.core.limits import LimitRule, Unit
    from apiauth.verify.limiter import Claim, identity_of

    rules = [LimitRule(str(number), Unit.DAY, 1, limit) for number in range(count)]
    return [Claim(rule, identity_of(rule, os.urandom(8))) for rule in rules]


def _cost(limiter: "Limiter", count: int) -> float:
    claims, now_ms = _claims(count, 2_000_000_000), time.time_ns() // 1_000_000
    limiter.take(claims, now_ms)
    began = time.thread_time()
    for _ in range(CALLS):
        limiter.take(claims, now_ms)
    return (time.thread_time() - began) / CALLS * 1e6


def _wait(limiter: "Limiter") -> float:
    claims, began = _claims(1, 30), time.perf_counter()
    limiter.take(claims, time.time_ns() // 1_000_000)
    return (time.perf_counter() - began) * 1e6


def table(options: Options) -> Iterable[Row]:
    """Return what the counts cost, and what came of every load on one host and on several."""
    seconds = options.pick(4, 60, 300)
    with prepared() as folder:
        deployment_id = new_deployment()
        apps = {unit: new_app(deployment_id, f"aa_{unit}", [_rule(unit)]) for unit in LIMITS}
        bodies = {unit: body_of(new_keys(app, 1)[0]) for unit, app in apps.items()}
        rows = list(costs(folder, options.pick(3, 7)))
        for hosts in HOSTS:
            rows += storm(folder, hosts, seconds, bodies)
    return rows


def _rule(unit: str) -> dict[str, object]:
    return {"unit": unit, "duration": 1, "max_requests": LIMITS[unit][0]}


if __name__ == "__main__":
    run("limits", table, __doc__, gateways=GATEWAYS)
