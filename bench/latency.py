"""How long a check takes at a third of what the gateway can do, beside a bare echo at the same rate.

    python -m bench.latency [--smoke | --full] [--save]

Requests are due evenly, and each is timed from the moment it was due. Then both again while the web process is
busy without pause with the slowest thing it does, a list of 10,000 keys, at the niceness that `up` gives it.
Where there are fewer processors than that page, its database, the load generator and the server want, all wait
for their turn: the echo shows how long.
"""

import http.client
import os
import statistics
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import management
from bench.check import body_of, prepared
from bench.report import Options, Row, ratios, row, run
from bench.seeding import A_LIMIT_NOBODY_REACHES, KEYS, new_app, new_deployment, new_keys
from bench.stage import CONNECTIONS, load_answered, serving
from config.processes import GATEWAY_THREADS, WEB_NICENESS, WEB_THREADS

ECHO, CHECK = "bare echo", "check"
ECHO_BESIDE, CHECK_BESIDE = f"{ECHO} beside a slow page", f"{CHECK} beside a slow page"
Figures = dict[str, list[dict[str, Any]]]


def rounds(bodies: Path, backend_key: str, seconds: float, repeats: int) -> tuple[float, Figures]:
    """Let all take turns; return the rate, and what the load generator found in every round."""
    found: Figures = {ECHO: [], CHECK: [], ECHO_BESIDE: [], CHECK_BESIDE: []}
    with (
        serving("config.gateway_wsgi:application", GATEWAY_THREADS) as (gateway, _),
        serving("bench.check:echo", GATEWAY_THREADS) as (echo, _),
        serving("config.wsgi:application", WEB_THREADS, is_kept=False, niceness=WEB_NICENESS) as (web, _),
    ):
        most = statistics.median(load_answered(gateway, bodies, seconds / 2)["answers"] for _ in range(3))
        rate = most / (seconds / 2) / 3
        for _ in range(repeats):
            found[ECHO].append(load_answered(echo, bodies, seconds, rate))
            found[CHECK].append(load_answered(gateway, bodies, seconds, rate))
            with asked_without_pause(web, backend_key):
                found[ECHO_BESIDE].append(load_answered(echo, bodies, seconds, rate))
                found[CHECK_BESIDE].append(load_answered(gateway, bodies, seconds, rate))
    return rate, found


@contextmanager
def asked_without_pause(port: int, backend_key: str) -> Iterator[None]:
    """Ask the web process for its slowest answer again and again. Raises RuntimeError if it never gave one."""
    ending, answered = threading.Event(), threading.Event()
    call = management.CALLS[management.LIST]

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while not ending.is_set():
            connection.request(call.method, call.path, headers={"Authorization": f"Bearer {backend_key}"})
            response = connection.getresponse()
            response.read()
            if response.status == 200:
                answered.set()
        connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
    if not answered.is_set():
        raise RuntimeError("the slow page never came")


def table(options: Options) -> Iterable[Row]:
    """Measure all of it."""
    seconds, repeats = options.pick(1.0, 6.0), options.pick(1, 5, 9)
    with prepared() as folder:
        os.environ["KEYSTEAD_CALLS_PER_MINUTE"] = "1000000"
        backend_key = management.seed()
        bodies = folder / "bodies"
        secrets = new_keys(new_app(new_deployment(), "aa_1", [A_LIMIT_NOBODY_REACHES]))
        bodies.write_bytes(b"\n".join(map(body_of, secrets)))
        rate, found = rounds(bodies, backend_key, seconds, repeats)
    return rows_of(rate, found)


def rows_of(rate: float, found: Figures) -> Iterator[Row]:
    """Yield the ratios, then what they are made of."""
    figures = {
        (name, part): [each[part] for each in repeats] for name, repeats in found.items() for part in ("p50", "p99")
    }
    for part, most, sane in (("p50", 2, 20), ("p99", 4, 40)):
        above_echo = ratios(figures[CHECK, part], figures[ECHO, part])
        yield row(f"P5 check / bare echo at the same rate, {part}", above_echo, at_most=most, sane=sane)
        beside = ratios(figures[CHECK_BESIDE, part], figures[ECHO_BESIDE, part])
        yield row(f"P5 check / bare echo, both beside a slow page, {part}", beside, at_most=most, sane=sane)
        moved = ratios(figures[CHECK_BESIDE, part], figures[CHECK, part])
        yield row(f"check beside a slow page / alone, {part}", moved)
    yield Row("a third of saturation: checks a second", rate)
    for (name, part), milliseconds in figures.items():
        yield row(f"{name}: {part} ms", milliseconds)


if __name__ == "__main__":
    run("latency", table, __doc__, connections=CONNECTIONS, keys=KEYS, threads=GATEWAY_THREADS)
