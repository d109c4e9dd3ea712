"""Four gateways count the same limits, on one host and on two, under load below, at and above them, through kills.

    python -m bench.limits [--smoke | --full] [--save]

Each load lasts a minute; in each, every gateway is killed once and started again. Every window of a
second and of a minute is judged by the callers' own log (`bench.limit_load`). And what it costs: a
count in the mapped file, with and without leases, and a call that has to wait for a lease.
"""

import os
import statistics
import time
from pathlib import Path

from bench.check import SERVE, body_of, prepared, seed, wait_until_ready
from bench.faults import Victim, free_port
from bench.limit_load import Load, Window, stated_remainder
from bench.report import Options, Row, run

GATEWAYS = 4
LIMITS = {"second": (100, 1_000), "minute": (1_000, 60_000)}
LOADS = (0.9, 1, 10)
CALLS = 50_000
SMOKE_SECONDS = 4


def limited(unit: str) -> str:
    """Make an app whose calls are limited, and return a key of it."""
    from apiauth.core import clock
    from apiauth.core.actor import SYSTEM
    from apiauth.models import Deployment
    from apiauth.services import apps, keys, limits

    owner = {"deployment_id": Deployment.objects.get().id, "actor": SYSTEM, "now": clock.now()}
    rule = {"unit": unit, "duration": 1, "max_requests": LIMITS[unit][0]}
    limits.create_scheme(slug=unit, name=unit, rules=[rule], **owner)
    fields = {"slug": f"aa_{unit}", "name": unit, "key_prefix": "bench", "rate_limit_scheme_slug": unit}
    app = apps.create_app(fields=fields, **owner)
    issued = keys.create_key(app_id=app.id, name=unit, permissions=["read:x"], actor=SYSTEM, now=clock.now())
    return issued.secret.text


def storm(folder: Path, hosts: int, seconds: float, bodies: dict[str, bytes]) -> list[Row]:
    """Put every load on gateways of so many hosts; return what came of it."""
    ports = [free_port() for _ in range(GATEWAYS)]
    os.environ["KEYSTEAD_LIMITS"] = "shared" if hosts > 1 else "host"
    victims = []
    for number, port in enumerate(ports):
        place = folder / f"{hosts}-{number % hosts}"
        os.environ.update(KEYSTEAD_LIMITS_DIR=str(place / "limits"), KEYSTEAD_SPOOL_DIR=str(place / "spool"))
        victims.append(Victim(SERVE, "config.gateway_wsgi:application", port, 4))
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


def _rows(unit: str, load: Load, hosts: int, phases: dict[float, tuple[float, float]]) -> list[Row]:
    limit, length_ms = LIMITS[unit]
    windows = load.judged(limit, length_ms)
    held = stated_remainder(limit, hosts, GATEWAYS // hosts) if hosts > 1 else 0
    rows = []
    for factor, (began, ended) in phases.items():
        within = [window for window in windows if began <= window.starts_ms < ended]
        if within:
            rows += _judgement(f"{hosts} host(s), a {unit}, load {factor:g}:", within, held)
    return rows


def _judgement(name: str, windows: list[Window], held: int) -> list[Row]:
    over = sum(window.over for window in windows)
    under = max(window.under for window in windows)
    return [
        Row(f"{name} windows", len(windows)),
        Row(f"{name} of them with all gateways interleaved", sum(window.has_overlap for window in windows)),
        Row(f"{name} calls", sum(window.demand for window in windows)),
        Row(f"{name} admitted", sum(window.admitted for window in windows)),
        Row(f"{name} over", over, "0", over == 0),
        Row(f"{name} most under in a window", under, f"<= {held}", under <= held),
    ]


def costs(folder: Path) -> list[Row]:
    """Return what a count costs, in microseconds of processor time, and a call that waits for a lease."""
    from apiauth.core.limits import LimitRule, Unit
    from apiauth.verify.lease_store import LeaseStore
    from apiauth.verify.leases import LeasedLimiter
    from apiauth.verify.limiter import Limiter, identity_of

    store = LeaseStore(os.environ["DATABASE_URL"])
    host, shared = Limiter(folder / "costs"), LeasedLimiter(folder / "costs", store)
    now_ms = int(time.time() * 1000)

    def claims(count: int, limit: int) -> list[tuple[LimitRule, bytes]]:
        rules = [LimitRule(str(number), Unit.DAY, 1, limit) for number in range(count)]
        return [(rule, identity_of(rule, os.urandom(8))) for rule in rules]

    def each(limiter: Limiter, count: int) -> float:
        asked = claims(count, 2_000_000_000)
        rounds = []
        for _ in range(7):
            began = time.thread_time()
            for _ in range(CALLS):
                limiter.take(asked, now_ms)
            rounds.append((time.thread_time() - began) / CALLS * 1e6)
        return statistics.median(rounds)

    def waiting() -> float:
        began = time.perf_counter()
        shared.take(claims(1, 30), now_ms)
        return (time.perf_counter() - began) * 1e6

    figures = {count: (each(host, count), each(shared, count)) for count in (1, 3)}
    waits = [waiting() for _ in range(300)]
    shared.close()
    host.close()
    rows = []
    for count, (alone, leased) in figures.items():
        rows.append(Row(f"{count} limit(s), one host (us)", alone))
        rows.append(Row(f"{count} limit(s), shared, held (us)", leased, "<= +0.5", leased <= alone + 0.5))
    return [*rows, Row("a call that waits for a lease, p50 (us)", statistics.median(waits))]


def table(options: Options) -> list[Row]:
    """Measure what a count costs, then storm gateways of one host, of two and in a full run of four."""
    seconds, hosts = options.pick((SMOKE_SECONDS, (1, 2)), (60, (1, 2)), (60, (1, 2, 4)))
    with prepared() as folder:
        seed(folder)
        rows = costs(folder)
        bodies = {unit: body_of(limited(unit)) for unit in LIMITS}
        for count in hosts:
            rows += storm(folder, count, seconds, bodies)
    return rows


if __name__ == "__main__":
    run("limits", table, __doc__, gateways=GATEWAYS)
