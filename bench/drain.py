"""How fast decisions go from the spool into the database, alone and beside a saturated gateway.

    python -m bench.drain [--smoke] [--save]

Processor time is counted for the worker and for its own process of PostgreSQL, so that the
figures stand on a machine where others work too. The floor is a bare COPY of the same lines
into a table without any index.
"""

import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.check import GATEWAY, body_of, prepared, seed
from bench.report import Options, Row, run
from bench.stage import CONNECTIONS, TICKS, load_answered, serving
from config.processes import GATEWAY_THREADS

KEYS = 2_000
PATHS = 200
WORKER = "import sys; from config import worker; worker.main(['worker'])"


def records(count: int, began_ms: int) -> Iterator[Any]:
    """Yield decisions of an hour: few keys make most calls, one in twenty is blocked."""
    from apiauth.audit.record import Record, new_decision_number

    dice = random.Random(1)
    for number in range(count):
        key = int(dice.paretovariate(1.1)) % KEYS
        blocked = dice.random() < 0.05
        yield Record(
            id=new_decision_number(began_ms + number * 3_600_000 // count).to_bytes(16, "big"),
            deployment_id=33, app_id=11, key_id=1000 + key, key_name=f"key {key}", presented_start=None,
            rule="rate_limited" if blocked else None, blocked_by="60/60s" if blocked else None, method="GET",
            path=f"/v1/orders/{dice.randrange(PATHS)}", client_ip=f"203.0.113.{dice.randrange(255)}",
            peer_ip="127.0.0.1", user_agent="product/1.0", required_permissions=["read:x"], held_permissions=None,
            limits=["60/60s"], left=[59], retry_after=3 if blocked else None, snapshot_age_ms=12,
            duration_us=30, node="host",
        )  # fmt: skip


def spool(folder: Path, count: int) -> None:
    """Lay out one finished spool file."""
    from apiauth.audit.record import frame

    began_ms = int(time.time() * 1000) - 3_600_000
    (folder / f"host-1-{os.urandom(16).hex()}.spool").write_bytes(b"".join(map(frame, records(count, began_ms))))


def cpu_seconds(pid: int) -> float:
    """Return the processor time of one process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def floor(connection: Any, count: int) -> float:
    """Return rows a second of a bare COPY of decisions into a table without an index."""
    from apiauth.audit.names import Names
    from apiauth.audit.rows import decision_line, names_in
    from apiauth.audit.statements import sql

    made = list(records(count, int(time.time() * 1000)))
    number_of = Names(connection).numbered(names_in(made))
    lines = "".join([decision_line(record, number_of) for record in made])
    connection.execute("CREATE UNLOGGED TABLE floor (LIKE apiauth_decision)")
    began = time.perf_counter()
    with connection.cursor() as cursor, cursor.copy(sql("copy_decisions").replace("apiauth_decision", "floor")) as copy:
        copy.write(lines)
    seconds = time.perf_counter() - began
    connection.execute("DROP TABLE floor")
    return count / seconds


def alone(connection: Any, folder: Path, count: int) -> dict[str, float]:
    """Drain one file with nothing else under way; return rows a second and µs of processor time a row."""
    from apiauth.audit.drain import Drain

    spool(folder, count)
    drain = Drain(connection, folder)
    backend = connection.info.backend_pid
    began, ours, theirs = time.perf_counter(), time.process_time(), cpu_seconds(backend)
    drained = drain.drain_all()
    return {
        "rows a second": drained / (time.perf_counter() - began),
        "worker": (time.process_time() - ours) / drained * 1e6,
        "PostgreSQL": (cpu_seconds(backend) - theirs) / drained * 1e6,
    }


def beside_a_gateway(connection: Any, bodies: Path, folder: Path, seconds: float) -> dict[str, float]:
    """Saturate one gateway while a worker drains; return both rates and how far the worker is behind at the end."""
    connection.execute("TRUNCATE apiauth_decision")
    with serving(GATEWAY, GATEWAY_THREADS) as (port, _):
        worker = subprocess.Popen([sys.executable, "-c", WORKER], stderr=subprocess.DEVNULL)
        try:
            warm = load_answered(port, bodies, 1)["answers"]
            decided = load_answered(port, bodies, seconds)["answers"]
            drained = connection.execute("SELECT count(*) FROM apiauth_decision").fetchone()[0] - warm
            began = time.monotonic()
            while connection.execute("SELECT count(*) FROM apiauth_decision").fetchone()[0] < warm + decided:
                time.sleep(0.05)
            caught_up = time.monotonic() - began
        finally:
            worker.terminate()
            worker.wait()
    return {"decided": decided / seconds, "drained": drained / seconds, "behind": caught_up}


def bytes_a_decision(connection: Any) -> float:
    """Return what a stored decision takes with its indexes."""
    connection.execute("VACUUM apiauth_decision")
    size, rows = connection.execute(
        "SELECT (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('apiauth_decision') WHERE isleaf),"
        " (SELECT count(*) FROM apiauth_decision)"
    ).fetchone()
    return float(size) / rows


def table(options: Options) -> list[Row]:
    """Measure the drain alone and beside a gateway."""
    count, repeats, seconds = options.pick((20_000, 1, 2.0), (200_000, 5, 10.0))
    with prepared() as folder:
        secrets = seed(folder)
        bodies = folder / "bodies"
        bodies.write_bytes(b"\n".join(map(body_of, secrets)))
        return measured(folder / "spool", bodies, count, repeats, seconds)


def measured(folder: Path, bodies: Path, count: int, repeats: int, seconds: float) -> list[Row]:
    """Return every row of the table."""
    import psycopg

    folder.mkdir(exist_ok=True)
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        bare = statistics.median(floor(connection, count) for _ in range(repeats))
        runs = [alone(connection, folder, count) for _ in range(repeats)]
        size = bytes_a_decision(connection)
        both = [beside_a_gateway(connection, bodies, folder, seconds) for _ in range(min(3, repeats))]
    figures = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    beside = {name: statistics.median(run[name] for run in both) for name in both[0]}
    ratio = figures["rows a second"] / beside["decided"]
    return [
        Row("bare COPY into a table without index: rows a second", bare),
        Row("drain alone: rows a second, median", figures["rows a second"]),
        Row("drain alone: rows a second, slowest", min(run["rows a second"] for run in runs)),
        Row("drain alone: rows a second, fastest", max(run["rows a second"] for run in runs)),
        Row("drain alone: of the bare COPY", figures["rows a second"] / bare),
        Row("drain: worker's CPU µs a row", figures["worker"]),
        Row("drain: PostgreSQL's CPU µs a row", figures["PostgreSQL"]),
        Row("beside a saturated gateway: decided a second", beside["decided"]),
        Row("beside a saturated gateway: drained a second", beside["drained"]),
        Row("P10 beside it: seconds behind at the end", beside["behind"], "<= 1", beside["behind"] <= 1),
        Row("P10 drain alone / decided beside it", ratio, ">= 2", ratio >= 2),
        Row("P13 bytes a decision with its indexes", size, "<= 300", size <= 300),
    ]


if __name__ == "__main__":
    run("drain", table, __doc__, connections=CONNECTIONS)
