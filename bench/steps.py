"""Where the time of a check goes: the gateway's work up to one step after another, on the same server.

    python -m bench.steps [--smoke | --full] [--save]

Each row is the CPU of the server's process for one request, and beside it what the row above leaves. The first is
the bare echo of `bench.check`; the last is the gateway as it is.
"""

import os
import statistics
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg

from bench.check import body_of, prepared
from bench.report import Options, Row, row, run
from bench.scaling import GATEWAY
from bench.seeding import A_LIMIT_NOBODY_REACHES, KEYS, NO_LIMIT, new_app, new_deployment, new_keys
from bench.stage import CONNECTIONS, cost, serving
from config.processes import GATEWAY_THREADS

PART = "bench.steps_wsgi:application"
# What is measured, by which application, up to which step, and whether the keys have a limit.
STEPS = (
    ("bare echo", "bench.check:echo", "", True),
    ("an answer that is always the same", PART, "constant", True),
    ("+ the body is read", PART, "body", True),
    ("+ the question is read from it", PART, "question", True),
    ("+ it is decided, without a limit", PART, "decision", False),
    ("+ with a limit", PART, "decision", True),
    ("+ it is recorded", PART, "record", True),
    ("+ the answer is written: the gateway", GATEWAY, "", True),
)


def requests_by_limit(folder: Path) -> dict[bool, Path]:
    """Make an app with a limit and one without; return what to ask about each."""
    deployment_id = new_deployment()
    found = {}
    for is_limited in (True, False):
        slug = f"aa_{'limited' if is_limited else 'unlimited'}"
        secrets = new_keys(new_app(deployment_id, slug, [A_LIMIT_NOBODY_REACHES if is_limited else NO_LIMIT]))
        found[is_limited] = folder / slug
        found[is_limited].write_bytes(b"\n".join(map(body_of, secrets)))
    return found


def table(options: Options) -> Iterable[Row]:
    """Let all steps take turns."""
    seconds, repeats = options.pick(0.5, 3.0), options.pick(1, 3, 5)
    found: dict[str, list[float]] = {name: [] for name, *_ in STEPS}
    with prepared() as folder, psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        requests = requests_by_limit(folder)
        for _ in range(repeats):
            for name, target, step, is_limited in STEPS:
                with serving(target, GATEWAY_THREADS, environment={"BENCH_STEP": step}) as (port, group):
                    found[name].append(cost(port, group, requests[is_limited], seconds, connection).cpu)
    return rows(found)


def rows(found: dict[str, list[float]]) -> Iterator[Row]:
    """Yield what a request costs up to each step, and what each step adds."""
    before = 0.0
    for name, costs in found.items():
        yield row(f"{name}: CPU µs a request", costs)
        middle = statistics.median(costs)
        if before:
            yield Row(f"{name}: CPU µs more", middle - before)
        before = middle


if __name__ == "__main__":
    run("steps", table, __doc__, connections=CONNECTIONS, keys=KEYS, threads=GATEWAY_THREADS)
