"""The snapshot: how fast it loads, what a key costs in memory, what a check costs then, and how soon a revoke holds.

    python -m bench.snapshot [--smoke | --full] [--save]

A normal run loads 100,000 keys, `--full` 1,000,000; each revokes 2,000.
Revokes are plain SQL, timed from the commit until two gateways have refused the key over HTTP.
"""

import argparse
import gc
import http.client
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg

from bench.check import body_of, prepared, seed, served
from bench.report import Row, print_rows, save

CALLS = 20_000
TURNS = 5
ADD_KEYS = """
INSERT INTO apiauth_key (
    id, deployment_id, app_id, lineage_id, name, note, key_prefix, key_suffix, digest, pepper_version, permissions,
    metadata, allowed_cidrs, revoked_by, created_by, created_at, updated_at
)
SELECT
    number, app.deployment_id, app.id, number, 'key ' || number, '', 'bench', 'abcd', sha256(number::text::bytea), 1,
    ARRAY['read:x', 'write:x'], '{"team": "blue"}', '{}', '', '', now(), now()
FROM generate_series(1, %s) AS number, apiauth_app AS app
"""


def resident_bytes() -> int:
    """Return how much memory this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def load(url: str) -> tuple[Any, int, float, float]:
    """Fill new tables; return them, how many keys, keys a second, and bytes a key."""
    from apiauth.verify.listener import _connect
    from apiauth.verify.snapshot import Tables

    with _connect(url) as connection:
        gc.collect()
        before, began = resident_bytes(), time.perf_counter()
        tables = Tables()
        tables.catch_up(connection)
        took = time.perf_counter() - began
    count = len(tables.keys)
    return tables, count, count / took, (resident_bytes() - before) / count


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
    return [statistics.median(found) for found in figures]


def _checker(folder: Path, tables: Any) -> Any:
    from apiauth.audit.spool import Spool
    from apiauth.verify.check import Checker
    from apiauth.verify.limiter import Limiter
    from apiauth.verify.snapshot import Snapshot
    from config import env

    snapshot = Snapshot()
    snapshot.put(tables, time.monotonic())
    return Checker(
        snapshot=snapshot, limiter=Limiter(folder / "limits"), spool=Spool(folder / "spool"),
        peppers=env.load().peppers, stale_bound_seconds=600,
    )  # fmt: skip


def revoke_to_refusal(url: str, secrets: list[str], revokes: int) -> list[float]:
    """Return for each revoke the milliseconds from its commit until both gateways have refused the key."""
    from apiauth.core.secrets import SecretKind
    from config import env

    peppers = env.load().peppers
    digest = peppers.digester(SecretKind.KEY, peppers.active_version)
    took = []
    with (
        served("config.gateway_wsgi:application", 4) as (first, _),
        served("config.gateway_wsgi:application", 4) as (second, _),
        psycopg.connect(url, autocommit=True) as connection,
    ):
        callers = [http.client.HTTPConnection("127.0.0.1", port) for port in (first, second)]
        for secret in secrets[:revokes]:
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


def measured(folder: Path, keys: int, revokes: int) -> list[Row]:
    """Return all rows."""
    url = os.environ["DATABASE_URL"]
    secrets = seed(folder)[:revokes]
    small = load(url)[0]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # the seed is no change that anyone hears of
        connection.execute(ADD_KEYS, [keys])
        connection.execute("ANALYZE apiauth_key")
    tables, count, rate, size = load(url)
    few, many = check_cpu([small, tables], secrets[:1_000])
    del tables
    took = revoke_to_refusal(url, secrets, revokes)
    p99, most = took[int(len(took) * 0.99)], took[-1]
    return [
        Row("keys loaded", count),
        Row("P8 load, keys a second", rate, ">= 100,000", rate >= 100_000),
        Row("P8 memory, bytes a key", size, "<= 700", size <= 700),
        Row("check with few keys, CPU µs", few),
        Row("check with all keys, CPU µs", many),
        Row("P7 check with all keys / with few", many / few, "<= 1.15", many / few <= 1.15),
        Row(f"revoke to refusal on two gateways, ms, p50 of {len(took)}", statistics.median(took)),
        Row("P11 revoke to refusal, ms, p99", p99, "<= 100", p99 <= 100),
        Row("P11 revoke to refusal, ms, most", most, "<= 1,000", most <= 1_000),
    ]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = arguments.add_mutually_exclusive_group()
    size.add_argument("--smoke", action="store_true", help="a few seconds: does it run?")
    size.add_argument("--full", action="store_true", help="1,000,000 keys: some minutes")
    arguments.add_argument("--save", action="store_true", help="write bench/results/snapshot.json")
    options = arguments.parse_args()
    keys, revokes = (10_000, 50) if options.smoke else (1_000_000, 2_000) if options.full else (100_000, 2_000)
    with prepared() as folder:
        rows = measured(folder, keys, revokes)
    print_rows(rows)
    if options.save:
        save("snapshot", rows, keys=keys, revokes=revokes)


if __name__ == "__main__":
    main()
