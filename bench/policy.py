"""What policy costs: the preview of a change, and the review of an app's keys.

    python -m bench.policy [--smoke] [--save]

The preview reads a key's newest 100,000 calls and decides each once more; a plain count of the same rows
stands beside it. The review looks at an app's 100,000 live keys; one of 1,000 stands beside it. Every
figure is the median wall time of a warm call.
"""

import os
import statistics
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any

import psycopg

from bench import decisions
from bench.check import prepared
from bench.report import Options, Row, run

CALLS, FEW_CALLS = 100_000, 2_000
FEW_KEYS, MANY_KEYS, PAGE, REPEATS = 1_000, 100_000, 50, 31
MOST_MS = 1_000
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
    from apiauth.verify.replay import Proposal

    decisions.fill_key(connection, calls, now)
    impact.LONGEST_QUERY_MS = 4_000  # all of the calls, also where the machine has other work
    key = Key(id=decisions.hot_key(), app_id=decisions.APP)
    proposals = {
        "revoke": Proposal(revoked=True),
        "addresses and permissions": Proposal(
            permissions=frozenset({"routes:read"}), networks=(ip_network("203.0.113.0/24"),)
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


def table(options: Options) -> list[Row]:
    """Measure previews and reviews."""
    calls, sizes = options.pick((FEW_CALLS, (FEW_KEYS,)), (CALLS, (FEW_KEYS, MANY_KEYS)))
    with prepared():
        import django

        django.setup()
        from django.core.management import call_command

        from apiauth.core import clock

        call_command("migrate", verbosity=0)
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            now = clock.now()
            return previews(connection, calls, now) + reviews(connection, sizes, now)


if __name__ == "__main__":
    run("policy", table, __doc__)
