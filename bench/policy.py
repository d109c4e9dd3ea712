"""What policy costs: on each check, for the preview of a change, and for the review of an app's keys.

    python -m bench.policy [--smoke] [--save]

The preview reads a key's newest 100,000 calls and decides each once more; a plain count of the same rows
stands beside it. The review looks at an app's 100,000 live keys; one of 1,000 stands beside it. These are
median wall times of a warm call. Checks are CPU: keys of an app whose policy sets an end and a cadence of
rotation that blocks, beside keys of one without a policy.
"""

import os
import statistics
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from bench import decisions
from bench.check import GATEWAY, body_of, prepared, queries_per_hit
from bench.report import Options, Row, ratios, row, run
from bench.seeding import A_LIMIT_NOBODY_REACHES, new_app, new_deployment, new_keys
from bench.stage import cost, serving
from config.processes import GATEWAY_THREADS

CALLS, FEW_CALLS = 100_000, 2_000
FEW_KEYS, MANY_KEYS, PAGE, REPEATS = 1_000, 100_000, 50, 31
MOST_MS = 1_000
MOST_OF_A_CHECK = 1.15
STRICT = {
    "expiry": {"mode": "mandatory", "longest_days": 90, "default_days": 30},
    "rotation": {"mode": "required", "every_days": 60, "grace_days": 10, "when_overdue": "block"},
}
COUNT = "SELECT count(*) FROM apiauth_decision WHERE key_id = %s AND app_id = %s AND allowed AND decided_at >= %s"
ADD_KEYS = """
INSERT INTO apiauth_key (
    id, deployment_id, app_id, lineage_id, name, note, key_prefix, key_suffix, digest, pepper_version, permissions,
    metadata, allowed_cidrs, expires_at, revoked_by, created_by, created_at, updated_at
)
SELECT
    app.id + number, app.deployment_id, app.id, app.id + number, 'key ' || number, '', 'bench', 'abcd',
    sha256((app.id + number)::text::bytea), 1, ARRAY['read:x'], '{}',
    CASE WHEN number %% 2 = 0 THEN ARRAY['192.0.2.0/24'] ELSE '{}' END,
    CASE WHEN number %% 3 > 0 THEN now() + interval '60 days' END, '', '', now() - interval '100 days', now()
FROM generate_series(1, %(keys)s) AS number, apiauth_app AS app
WHERE app.id = %(app)s
"""
ADD_USE = """
INSERT INTO apiauth_keyusage (key_id, app_id, last_used_at, method, path, allowed)
SELECT id, app_id, now() - (id %% 100) * interval '1 day', 'GET', '/', true
FROM apiauth_key WHERE app_id = %(app)s AND id %% 5 > 0
"""


def milliseconds(call: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median time of a call, after one to warm up."""
    call()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e3


def previews(connection: psycopg.Connection[Any], calls: int, now: datetime) -> list[Row]:
    """Fill the log with calls of one key; return what the previews of changes to it take."""
    from apiauth.core.limits import LimitRule, Mode, Unit
    from apiauth.models import Key
    from apiauth.services import impact
    from apiauth.verify.addresses import parse_networks
    from apiauth.verify.replay import Proposal

    decisions.fill_key(connection, calls, now)
    impact.LONGEST_QUERY_MS = 4_000  # all of the calls, also where the machine has other work
    key = Key(id=decisions.hot_key(), app_id=decisions.APP)
    proposals = {
        "revoke": Proposal(revoked=True),
        "addresses and permissions": Proposal(
            permissions=frozenset({"routes:read"}), networks=parse_networks(["203.0.113.0/24"])
        ),
        "a limit": Proposal(limits=(LimitRule("l", Unit.MINUTE, 1, 10, Mode.PER_KEY_AND_IP),)),
    }
    start = now - timedelta(days=7)
    plain = milliseconds(lambda: connection.execute(COUNT, [key.pk, key.app_id, start]).fetchone())
    rows = [Row(f"count of {calls:,} decisions: ms", plain)]
    for name, proposal in proposals.items():
        found = impact.preview(key=key, proposal=proposal, now=now)
        assert found is not None
        assert found.impact.calls == calls
        taken = milliseconds(lambda proposal=proposal: impact.preview(key=key, proposal=proposal, now=now), 9)  # type: ignore[misc]
        rows.append(Row(f"preview of {name}, {calls:,} decisions: ms", taken, f"<= {MOST_MS}", taken <= MOST_MS))
        rows.append(Row(f"preview of {name} / count", taken / plain))
    return rows


def reviews(connection: psycopg.Connection[Any], sizes: tuple[int, ...], now: datetime) -> list[Row]:
    """Fill an app with keys for each size; return what the review of it takes, and a page of what it finds."""
    from apiauth.core.actor import SYSTEM
    from apiauth.models import Key
    from apiauth.services import apps, compliance, deployments

    deployment = deployments.create_deployment(name="Bench", allowed_origins=(), actor=SYSTEM, now=now)
    rows = []
    for size in sizes:
        fields = {"slug": f"aa_{size}", "name": "Bench", "key_prefix": "bench", "permissions": ["read:x", "write:x"]}
        app = apps.create_app(deployment_id=deployment.pk, fields=fields, actor=SYSTEM, now=now)
        connection.execute(ADD_KEYS, {"keys": size, "app": app.pk})
        connection.execute(ADD_USE, {"app": app.pk})
        connection.execute("VACUUM (ANALYZE) apiauth_key, apiauth_keyusage")
        keys = Key.objects.in_app(app.pk)
        counts = milliseconds(lambda keys=keys: compliance.review(keys=keys, now=now), 9)  # type: ignore[misc]
        rows.append(Row(f"review of {size:,} keys: ms", counts))
        for finding in compliance.Finding:
            found = compliance.found_keys(keys=keys, finding=finding, now=now)
            taken = milliseconds(lambda found=found: list(found.all()[:PAGE]), 9)  # type: ignore[misc]
            rows.append(Row(f"page of {finding}, {size:,} keys: ms", taken))
    return rows


def checks(
    connection: psycopg.Connection[Any], deployment_id: int, folder: Path, now: datetime, seconds: float, repeats: int
) -> list[Row]:
    """Return what a check of a key costs under a strict policy and without one, and what it asks the database."""
    from apiauth.core.policy import read_policy

    bodies: dict[str, Path] = {}
    for name in ("without a policy", "under a policy"):
        app = new_app(deployment_id, f"aa_{name.split()[0]}", [A_LIMIT_NOBODY_REACHES])
        bodies[name] = folder / app.slug
        bodies[name].write_bytes(b"\n".join(map(body_of, new_keys(app))))
        if name == "under a policy":
            app.keys.update(expires_at=now + timedelta(days=30))
            type(app).objects.filter(pk=app.pk).update(policy=read_policy(STRICT))
    found: dict[str, list[float]] = {name: [] for name in bodies}
    for _ in range(repeats):
        for name, path in bodies.items():
            with serving(GATEWAY, GATEWAY_THREADS) as (port, group):
                found[name].append(cost(port, group, path, seconds, connection).cpu)
    free, strict = found.values()
    queries, writes = queries_per_hit(bodies["under a policy"], seconds, connection)
    return [
        row("check under a policy / without, CPU", ratios(strict, free), at_most=MOST_OF_A_CHECK),
        Row("transactions a hit under a policy", round(queries, 3), "0", queries < 0.001),
        Row("row writes a hit under a policy", round(writes, 3), "0", writes < 0.001),
        *(row(f"check {name}: CPU µs", costs) for name, costs in found.items()),
    ]


def table(options: Options) -> list[Row]:
    """Measure checks, previews and reviews."""
    calls, sizes = options.pick((FEW_CALLS, (FEW_KEYS,)), (CALLS, (FEW_KEYS, MANY_KEYS)))
    seconds, repeats = options.pick((0.5, 1), (3.0, 5))
    with prepared() as folder:
        deployment_id = new_deployment()
        from apiauth.core import clock

        now = clock.now()
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            return [
                *checks(connection, deployment_id, folder, now, seconds, repeats),
                *previews(connection, calls, now),
                *reviews(connection, sizes, now),
            ]


if __name__ == "__main__":
    run("policy", table, __doc__)
