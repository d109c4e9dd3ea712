"""The snapshot: how fast it loads, what a key costs in memory, what a check costs then, and how soon a revoke holds.

    python -m bench.snapshot [--smoke | --full] [--save]

A normal run loads 100,000 keys and revokes 2,000, `--full` 1,000,000 and 10,000, which takes minutes. Revokes are
plain SQL beside a load on two gateways, each timed from its commit until both have refused the key over HTTP.
"""

import gc
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench.check import GATEWAY, body_of, prepared, seed
from bench.report import Options, Row, run
from bench.stage import serving
from config.processes import GATEWAY_THREADS

CALLS = 20_000
TURNS = 5
CHECKED_KEYS = 1_000
LOAD_CONNECTIONS = 4
MOST_KEYS = 100_000_000
ADD_KEYS = """
INSERT INTO apiauth_key (
    id, deployment_id, app_id, lineage_id, name, note, key_prefix, key_suffix, digest, pepper_version, permissions,
    metadata, allowed_cidrs, revoked_by, created_by, created_at, updated_at
)
SELECT
    6000000000000000000 + number, app.deployment_id, app.id, number, 'key ' || number, '', 'bench', 'abcd',
    sha256(number::text::bytea), 1,
    ARRAY['read:x', 'write:x'], '{"team": "blue"}', '{}', '', '', now(), now()
FROM generate_series(1, %s) AS number, apiauth_app AS app
"""


def resident_bytes() -> int:
    """Return how much memory this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def load(url: str, most: int = MOST_KEYS) -> tuple[Any, float, float, float]:
    """Fill new tables; return them, keys a second, keys a second of this process's CPU, and bytes a key."""
    from apiauth.verify.listener import _connect
    from apiauth.verify.tables import Tables

    with _connect(url) as connection:
        gc.collect()
        before, began, cpu_began = resident_bytes(), time.perf_counter(), time.process_time()
        tables = Tables(most)
        tables.catch_up(connection)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu_began
    count = len(tables.keys)
    return tables, count / took, count / cpu, (resident_bytes() - before) / count


def holding(url: str, tables: Any, secrets: list[str]) -> Any:
    """Return tables with these keys read into them one by one, as checks of them would."""
    from apiauth.core.secrets import SecretKind
    from apiauth.verify.listener import _connect
    from config import env

    peppers = env.load().peppers
    digest = peppers.digester(SecretKind.KEY, peppers.active_version)
    with _connect(url) as connection:
        for secret in secrets:
            assert tables.fetch(connection, [digest(secret)])
    return tables


def checked_bytes(tables: Any) -> float:
    """Return how many bytes more a key takes once a check has prepared it and its answer."""
    from apiauth.http.check_answer import _render
    from apiauth.verify.prepared import prepare

    keys = list(tables.keys.recent.values())[-100_000:]
    before = resident_bytes()
    for key in keys:
        key.prepared = prepare(key, tables.apps[key.app_id])
        key.prepared.rendered = _render(key, key.prepared, key.prepared.claims or ())
    taken = (resident_bytes() - before) / len(keys)
    for key in keys:
        key.prepared = None
    return taken


def check_cpu(all_tables: list[Any], secrets: list[str]) -> list[float]:
    """Return for each of several tables the CPU microseconds of a check of keys that were checked before.

    They take turns, so that whatever else the machine does meets them all.
    """
    from apiauth.verify.addresses import parse_address
    from apiauth.verify.check import Question

    address = parse_address("203.0.113.9")
    assert address is not None
    questions = [Question(text, "GET", "/a", "/a", address, "", "x/1", ["read:x"]) for text in secrets]
    figures: list[list[float]] = [[] for _ in all_tables]
    with tempfile.TemporaryDirectory() as folder:
        checkers = [_checker(Path(folder) / str(number), tables) for number, tables in enumerate(all_tables)]
        gc.freeze()
        for turn in range(1 + TURNS):
            for checker, found in zip(checkers, figures, strict=True):
                began = time.process_time()
                for number in range(CALLS):
                    checker.check(questions[number % len(questions)])
                if turn:  # the first one prepares the keys
                    found.append((time.process_time() - began) / CALLS * 1e6)
    return [min(found) for found in figures]


def _checker(folder: Path, tables: Any) -> Any:
    from apiauth.audit.spool import Spool
    from apiauth.verify.check import Checker
    from apiauth.verify.limiter import Limiter
    from apiauth.verify.snapshot import Snapshot
    from config import env

    snapshot = Snapshot(stale_bound_seconds=600)
    snapshot.put(tables, time.monotonic())
    return Checker(
        snapshot=snapshot, limiter=Limiter(folder / "limits"), spool=Spool(folder / "spool"),
        peppers=env.load().peppers,
    )  # fmt: skip


def looked_up(url: str, keys: int, secrets: list[str]) -> float:
    """Return milliseconds of a check, over HTTP, whose key is not in memory and is read for it."""
    with gateways(1, most_keys=keys // 2) as (port,):
        caller = http.client.HTTPConnection("127.0.0.1", port)
        took = []
        for secret in secrets:
            began = time.perf_counter()
            while _status(caller, body_of(secret)) != 200:
                pass  # a look-up that took too long: its answer was a 503
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


@contextmanager
def gateways(count: int, most_keys: int = MOST_KEYS) -> Iterator[list[int]]:
    """Serve so many gateways; yield their ports."""
    os.environ["KEYSTEAD_SNAPSHOT_KEYS"] = str(most_keys)
    with ExitStack() as stack:
        yield [stack.enter_context(serving(GATEWAY, GATEWAY_THREADS))[0] for _ in range(count)]


@contextmanager
def loaded(ports: list[int], bodies: Path, seconds: float) -> Iterator[None]:
    """Keep gateways busy until the block ends."""
    commands = [
        [sys.executable, "-m", "bench.load", str(port), str(LOAD_CONNECTIONS), str(seconds), str(bodies)]
        for port in ports
    ]
    processes = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    try:
        yield
        assert all(process.poll() is None for process in processes), "the load ended too early"
    finally:
        for process in processes:
            process.kill()
            process.wait()


def revoke_to_refusal(url: str, ports: list[int], secrets: list[str]) -> list[float]:
    """Return for each revoke the milliseconds from its commit until every gateway has refused the key."""
    from apiauth.core.secrets import SecretKind
    from config import env

    peppers = env.load().peppers
    digest = peppers.digester(SecretKind.KEY, peppers.active_version)
    callers = [http.client.HTTPConnection("127.0.0.1", port) for port in ports]
    took = []
    with psycopg.connect(url, autocommit=True) as connection:
        for secret in secrets:
            body = body_of(secret)
            assert all(_status(caller, body) == 200 for caller in callers)
            connection.execute("UPDATE apiauth_key SET revoked_at = now() WHERE digest = %s", [digest(secret)])
            committed = time.perf_counter()
            for caller in callers:
                while _status(caller, body) != 401:
                    pass
            took.append((time.perf_counter() - committed) * 1000)
    return sorted(took)


def _status(caller: http.client.HTTPConnection, body: bytes) -> int:
    caller.request("POST", "/v1/authz/check", body)
    answer = caller.getresponse()
    answer.read()
    return answer.status


def loading_rows(url: str, keys: int, secrets: list[str]) -> list[Row]:
    """Return what loading and checking costs; adds the keys."""
    small = load(url)[0]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # the seed is no change that anyone hears of
        connection.execute(ADD_KEYS, [keys])
        connection.execute("ANALYZE apiauth_key")
    tables, rate, cpu_rate, size = load(url)
    bounded = holding(url, load(url, len(tables.keys) // 2)[0], secrets)
    few, many, recent = check_cpu([small, tables, bounded], secrets)
    return [
        Row("keys loaded", len(tables.keys)),
        Row("P8 load, keys a second", rate, ">= 100,000", rate >= 100_000),
        Row("load, keys a second of the gateway's own CPU", cpu_rate),
        Row("P8 memory, bytes a key", size, "<= 700", size <= 700),
        Row("memory, MiB for 100,000 keys", size * 100_000 / 2**20),
        Row("memory, bytes more for a key that was checked", checked_bytes(tables)),
        Row("check with few keys, CPU µs", few),
        Row("check with all keys, CPU µs", many),
        Row("P7 check with all keys / with few", many / few, "<= 1.15", many / few <= 1.15),
        Row("check where half of the keys may be in memory / with all", recent / many),
        Row("check of a key that is read for it, over HTTP, ms, p50", looked_up(url, keys, secrets)),
    ]


def revoking_rows(url: str, folder: Path, secrets: list[str], unrevoked: list[str]) -> list[Row]:
    """Return how soon revokes hold on two gateways under load."""
    bodies = folder / "bodies"
    bodies.write_bytes(b"\n".join(map(body_of, unrevoked)))
    with gateways(2) as ports, loaded(ports, bodies, 600):
        took = revoke_to_refusal(url, ports, secrets)
    p99, most = took[int(len(took) * 0.99)], took[-1]
    return [
        Row(f"revoke to refusal on two gateways, ms, p50 of {len(took):,}", statistics.median(took)),
        Row("P11 revoke to refusal, ms, p99", p99, "<= 100", p99 <= 100),
        Row("P11 revoke to refusal, ms, most", most, "<= 1,000", most <= 1_000),
    ]


def measured(folder: Path, keys: int, revokes: int) -> list[Row]:
    """Return all rows."""
    secrets = seed(folder, CHECKED_KEYS + revokes)
    checked, revoked = secrets[:CHECKED_KEYS], secrets[CHECKED_KEYS:]
    url = os.environ["DATABASE_URL"]
    return loading_rows(url, keys, checked) + revoking_rows(url, folder, revoked, checked)


def table(options: Options) -> list[Row]:
    """Measure among as many keys as this size of a run has."""
    keys, revokes = options.pick((10_000, 50), (100_000, 2_000), (1_000_000, 10_000))
    with prepared() as folder:
        return measured(folder, keys, revokes)


if __name__ == "__main__":
    run("snapshot", table, __doc__)
