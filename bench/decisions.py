"""Makes decisions as a busy app would have them, and drains them into a database."""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import psycopg

from apiauth.audit.drain import Drain
from apiauth.audit.partitions import ensure_partitions
from apiauth.audit.record import Record, frame, new_decision_number
from apiauth.audit.statements import sql
from apiauth.core import clock

APP, DEPLOYMENT = 11, 33
KEYS, PATHS = 2_000, 60
FIRST_KEY = 1_000
DAYS = 30
BATCH, BATCH_BYTES = 50_000, 32 * 1024 * 1024
_LIMIT = [("60/60s", 41, 60)]
# What becomes of a call, and how often in a thousand: the rule, the word for it, the limits that were looked at.
_OUTCOMES: dict[tuple[str | None, str | None], int] = {
    (None, None): 950,
    ("rate_limited", "60/60s"): 30,
    ("permission_denied", "permission_denied"): 10,
    ("key_unknown", "key_unknown"): 5,
    ("ip_not_allowed", "ip_not_allowed"): 3,
    ("key_expired", "key_expired"): 2,
}


def hot_key() -> int:
    """Return the key that is used most."""
    return FIRST_KEY


def fill(connection: psycopg.Connection[Any], folder: Path, rows: int, end: datetime) -> None:
    """Record so many decisions, spread evenly over the 30 days before `end`: through spool files and the drain."""
    for day in range(0, DAYS + 1, 7):
        ensure_partitions(connection, today=(end - timedelta(days=DAYS - day)).date())
    ensure_partitions(connection, today=end.date())
    drain = Drain(connection, folder, BATCH_BYTES)
    frames = _frames(rows, end)
    number = 0
    while batch := b"".join(islice(frames, BATCH)):
        number += 1
        (folder / f"bench-{number}.spool").write_bytes(batch)
        drain.drain_all()
    connection.execute(sql("forget_minutes"))
    connection.execute("VACUUM (ANALYZE)")


def fill_key(connection: psycopg.Connection[Any], folder: Path, rows: int, end: datetime) -> None:
    """Record so many allowed calls of the hot key, spread over the six days before `end`."""
    ensure_partitions(connection, today=(end - timedelta(days=6)).date())
    ensure_partitions(connection, today=end.date())
    first_ms, length_ms = clock.to_ms(end - timedelta(days=6)), 6 * 86_400_000
    frames = (frame(_record(first_ms + n * length_ms // rows, 0, n % PATHS, None, None)) for n in range(rows))
    for number, _ in enumerate(range(0, rows, BATCH)):
        (folder / f"bench-{number}.spool").write_bytes(b"".join(islice(frames, BATCH)))
    Drain(connection, folder, BATCH_BYTES).drain_all()
    connection.execute("VACUUM (ANALYZE)")


def _frames(rows: int, end: datetime) -> Iterator[bytes]:
    """Yield frames of a spool, the oldest first; keys and paths are as frequent as one over their rank."""
    choose = random.Random(7).choices  # the same rows in every run
    keys, paths = _zipf(KEYS), _zipf(PATHS)
    outcomes, shares = list(_OUTCOMES), list(accumulate(_OUTCOMES.values()))
    first_ms, length_ms = clock.to_ms(end - timedelta(days=DAYS)), DAYS * 86_400_000
    for begin in range(0, rows, BATCH):
        count = min(BATCH, rows - begin)
        drawn = zip(
            choose(range(KEYS), cum_weights=keys, k=count),
            choose(range(PATHS), cum_weights=paths, k=count),
            choose(outcomes, cum_weights=shares, k=count),
            strict=True,
        )
        for number, (key, path, outcome) in enumerate(drawn, start=begin):
            yield frame(_record(first_ms + number * length_ms // rows, key, path, *outcome))


def _zipf(count: int) -> list[float]:
    return list(accumulate(1 / rank for rank in range(1, count + 1)))


def _record(moment_ms: int, key: int, path: int, rule: str | None, blocked_by: str | None) -> Record:
    is_known = rule != "key_unknown"
    return Record(
        id=new_decision_number(moment_ms).to_bytes(16, "big"),
        deployment_id=DEPLOYMENT,
        app_id=APP,
        key_id=FIRST_KEY + key if is_known else None,
        key_name=f"Billing worker {key}" if is_known else None,
        presented_start=None if is_known else "nw_live_Ab3d",
        rule=rule,
        blocked_by=blocked_by,
        method=("GET", "GET", "GET", "POST", "DELETE")[path % 5],
        path=f"/v2/regions/eu-{path % 7}/routes/{path}",
        client_ip=f"203.0.{key % 256}.{key // 256}",
        peer_ip="10.0.0.4",
        user_agent="northwind-python/2.4 (linux)",
        required_permissions=["routes:read"],
        held_permissions=["routes:list"] if rule == "permission_denied" else None,
        rate_limits=_LIMIT if rule in (None, "rate_limited") else [],
        retry_after=23 if rule == "rate_limited" else None,
        snapshot_age_ms=412,
        duration_us=31,
        node="gateway-1.internal",
    )
