"""Pages of the decision log, and a month's analytics, with few decisions and with many, in one run.

    python -m bench.reading [--smoke | --full] [--save]

The same app, keys, paths and days twice: once with 10 k decisions, once with 1 M (10 M with `--full`, which
takes ten minutes and 4 GB). Every figure is the median processor time, ours and PostgreSQL's, of a warm call of
the function that the doors call, rows read and made into Python. Storage is what the tables and indexes take on
disk. Where BENCH_FOLDER names one, the databases are kept there, and an interrupted run is gone on with.
"""

import dataclasses
import os
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo

from bench import decisions
from bench.check import prepared
from bench.report import Options, Row, run

FEW, MANY, MOST = 10_000, 1_000_000, 10_000_000
FEWEST = "20 k"
PAGE, REPEATS = 50, 31
MOST_RATIO, LEAST_FOR_APP, LEAST_FOR_KEY, MOST_BYTES = 1.5, 100, 20, 300
RAW = "SELECT count(*) FILTER (WHERE allowed), count(*) FROM apiauth_decision WHERE app_id = %s AND decided_at >= %s"
SIZES = {
    "decisions": ("sum(pg_relation_size(relid)), sum(pg_indexes_size(relid))", "pg_partition_tree('apiauth_decision')"),
    "counts": ("sum(pg_table_size(c.oid)), sum(pg_indexes_size(c.oid))", "pg_class c WHERE relname LIKE '%rollup'"),
}


class Meter:
    """Measures the processor time of calls: this thread's, and that of the process of PostgreSQL that answers it."""

    def __init__(self, server_pid: int) -> None:
        self._server = Path(f"/proc/{server_pid}/schedstat")

    def milliseconds(self, call: Callable[[], object], repeats: int = REPEATS) -> float:
        """Return the median of a call, after one to warm up."""
        call()
        taken = []
        for _ in range(repeats):
            began = self._now_ns()
            call()
            taken.append(self._now_ns() - began)
        return statistics.median(taken) / 1e6

    def _now_ns(self) -> int:
        return time.thread_time_ns() + int(self._server.read_text().split()[0])


def pages(meter: Meter, now: Any) -> dict[str, float]:
    """Return the milliseconds of each kind of page, over the last 7 days unless it says otherwise."""
    from apiauth.audit import search
    from apiauth.core import clock

    week, month = now - timedelta(days=7), now - timedelta(days=30)
    middle = UUID(int=clock.to_ms(now - timedelta(days=15)) << 80)
    filters = search.DecisionFilters
    asked: dict[str, dict[str, Any]] = {
        "newest": {"filters": filters(start=week)},
        "keyset middle of 30 days": {"filters": filters(start=month), "after": middle},
        "one hot key": {"filters": filters(start=week, key_id=decisions.hot_key())},
        "blocked only": {"filters": filters(start=week, outcome="blocked")},
        "a rule without a match": {"filters": filters(start=week, rule="rotation_overdue")},
        "a path's beginning": {"filters": filters(start=week, path_prefix="/v2/regions/eu-3")},
        "a path without a match": {"filters": filters(start=week, path_prefix="/none")},
        "an address": {"filters": filters(start=week, client_ip="203.0.0.0")},
        "an address without a match": {"filters": filters(start=week, client_ip="198.51.100.1")},
        "a hot key's rule without a match": {
            "filters": filters(start=week, key_id=decisions.hot_key(), rule="rotation_overdue")
        },
    }
    found = {
        name: meter.milliseconds(partial(search.decisions, app_id=decisions.APP, limit=PAGE, **question))
        for name, question in asked.items()
    }
    newest = search.decisions(app_id=decisions.APP, limit=1).rows[0].request_id
    found["a request id"] = meter.milliseconds(lambda: search.find_decision(app_id=decisions.APP, request_id=newest))
    return found


def staff_pages(meter: Meter, now: Any) -> dict[str, float]:
    """Return the milliseconds of what staff see: the decisions of all apps."""
    from apiauth.audit import search
    from apiauth.models import Decision

    hour, week = (search.DecisionFilters(start=now - timedelta(hours=hours)) for hours in (1, 7 * 24))
    revoked = dataclasses.replace(week, rule="rotation_overdue")
    row = search.decisions(app_id=decisions.APP, limit=1).rows[0]
    one = Decision.objects.filter(decided_at=row.decided_at, id=row.id)
    calls: dict[str, Callable[[], object]] = {
        "staff: newest of an hour": lambda: search.decisions_of_apps(app_ids=None, filters=hour),
        "staff: newest of 7 days": lambda: search.decisions_of_apps(app_ids=None, filters=week),
        "staff: a rule without a match": lambda: search.decisions_of_apps(app_ids=None, filters=revoked),
        "staff: a request id": one.first,
    }
    return {name: meter.milliseconds(call) for name, call in calls.items()}


def analytics(meter: Meter, raw_meter: Meter, connection: psycopg.Connection[Any], now: Any) -> dict[str, float]:
    """Return the milliseconds of 30 days' totals from counts and from rows, for the app and for its hot key."""
    from apiauth.audit import series

    start, key = now - timedelta(days=30), decisions.hot_key()
    where: dict[str, Any] = {"app_id": decisions.APP, "start": start, "end": now}
    raw = {"app": (RAW, [decisions.APP, start]), "one key": (f"{RAW} AND key_id = %s", [decisions.APP, start, key])}
    found = {}
    for name, (statement, values) in raw.items():
        count = partial(connection.execute, statement, values)  # type: ignore[arg-type]  # our own texts
        found[f"count of rows, {name}"] = raw_meter.milliseconds(count, 3)
    calls: dict[str, Callable[[], object]] = {
        "totals, app": lambda: series.totals(**where),
        "totals, one key": lambda: series.totals(**where, key_id=key),
        "points by the minute, app": lambda: series.timeline(**where, step="minute"),
        "points by the hour, app": lambda: series.timeline(**where),
        "points by the day, app": lambda: series.timeline(**where, step="day"),
        "reasons, app": lambda: series.blocked_reasons(**where),
        "top keys, app": lambda: series.top_keys(**where),
        "top paths, app": lambda: series.top_paths(**where),
        "top paths, one key": lambda: series.top_paths(**where, key_id=key),
        "keys used in 24 hours": lambda: series.keys_used(app_id=decisions.APP, since=now - timedelta(hours=24)),
    }
    return found | {name: meter.milliseconds(call) for name, call in calls.items()}


def bytes_each(connection: psycopg.Connection[Any], rows: int) -> dict[str, float]:
    """Return the bytes that a decision takes: its row, its indexes, and its part of the counts."""
    found = {}
    for name, (sums, source) in SIZES.items():
        statement = f"SELECT {sums} FROM {source}"
        table, indexes = connection.execute(statement).fetchone()  # type: ignore[misc,arg-type]  # our own texts
        found[f"bytes a decision, {name}"] = float(table) / rows
        found[f"bytes a decision, indexes of {name}"] = float(indexes) / rows
    return found


def measure(rows: int) -> dict[str, float]:
    """Fill a database of its own with so many decisions; return every figure, by name."""
    from django.core.management import call_command
    from django.db import connection as django

    name, url = f"bench_{rows}", os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as server:
        if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            server.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]  # our own number
    django.close()
    django.close_pool()
    django.settings_dict["NAME"] = name
    call_command("migrate", verbosity=0)
    with psycopg.connect(make_conninfo(url, dbname=name), autocommit=True) as connection:
        now = decisions.fill(connection, rows)
        connection.execute("SET max_parallel_workers_per_gather = 0")  # the meter sees one process
        django.ensure_connection()
        meter, raw_meter = (Meter(one.info.backend_pid) for one in (django.connection, connection))
        figures = pages(meter, now) | staff_pages(meter, now) | analytics(meter, raw_meter, connection, now)
        return figures | bytes_each(connection, rows)


def rows_of(few: dict[str, float], many: dict[str, float], size: str) -> list[Row]:
    """Return the table: each page's ratio, the analytics' ratios, the bytes."""
    rows = []
    for name, value in many.items():
        if name.startswith("bytes"):
            rows.append(Row(name, value))
            continue
        rows += [Row(f"{name}, 10 k: ms", few[name]), Row(f"{name}, {size}: ms", value)]
    promised = ("newest", "keyset middle of 30 days", "one hot key", "blocked only", "a rule without a match")
    for name in promised:
        ratio = many[name] / few[name]
        rows.append(Row(f"P12 {name}: {size} / 10 k", ratio, f"<= {MOST_RATIO}", ratio <= MOST_RATIO))
    if size == FEWEST:
        return rows  # too few for what follows to say anything: pages of the database are mostly empty
    for name, least in (("app", LEAST_FOR_APP), ("one key", LEAST_FOR_KEY)):
        ratio = many[f"count of rows, {name}"] / many[f"totals, {name}"]
        rows.append(Row(f"P13 30 days of {name}: rows / counts", ratio, f">= {least}", ratio >= least))
    each = sum(value for name, value in many.items() if name.startswith("bytes") and name.endswith("decisions"))
    rows.append(Row("P13 bytes a decision with its indexes", each, f"<= {MOST_BYTES}", each <= MOST_BYTES))
    return rows


def table(options: Options) -> list[Row]:
    """Measure few decisions, and as many as this size of a run has."""
    size, label = options.pick((FEW * 2, FEWEST), (MANY, "1 M"), (MOST, "10 M"))
    kept = os.environ.get("BENCH_FOLDER")
    with prepared(Path(kept) if kept else None):
        import django

        django.setup()
        return rows_of(measure(FEW), measure(size), label)


if __name__ == "__main__":
    run("reading", table, __doc__, keys=decisions.KEYS, paths=decisions.PATHS, days=decisions.DAYS)
