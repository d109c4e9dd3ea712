"""The backend API beside the same routes as bare Django views, in one run: list, create, issue a ticket.

    python -m bench.management [--smoke] [--save]

Both are served by the same server with the same threads over the same database. CPU per call is
that of the server's processes; calls per second and latency are context, since the clients share
the machine. Every figure is the median of the repeats, which take turns.
"""

import argparse
import http.client
import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.check import cpu_seconds, prepared, served
from bench.report import Row, print_rows, save

KEYS = 10_000
THREADS = 4
CLIENTS = 4
LIST, CREATE, TICKET = "list of 10 k keys", "create a key", "issue a ticket"
APPLICATIONS = {"Keystead": "config.wsgi:application", "bare views": "bench.bare_wsgi:application"}
MOST_RATIO = 1.5


@dataclass(frozen=True)
class Call:
    """One route as a client calls it."""

    method: str
    path: str
    body: bytes | None = None


CALLS = {
    LIST: Call("GET", "/api-auth/apps/aa_list/keys"),
    CREATE: Call("POST", "/api-auth/apps/aa_1/keys", b'{"name": "bench", "permissions": ["read:x"]}'),
    TICKET: Call(
        "POST", "/session/tickets", b'{"ticket_type": "api_auth_access", "api_auth_app_slug": "aa_1", "role": "admin"}'
    ),
}


@dataclass(frozen=True)
class Figures:
    """What calls cost: CPU milliseconds each, calls a second, the 99th percentile of latency in milliseconds."""

    cpu: float
    rate: float
    p99: float


def seed() -> str:
    """Make an app to list and one to write to; return a backend key."""
    import django

    django.setup()
    from django.core.management import call_command

    from apiauth.core import clock, ids
    from apiauth.core.actor import SYSTEM
    from apiauth.core.secrets import SecretKind, new_secret
    from apiauth.models import Key
    from apiauth.services import apps, deployments
    from config import env

    call_command("migrate", verbosity=0)
    now = clock.now()
    deployment = deployments.create_deployment(name="Bench", allowed_origins=(), actor=SYSTEM, now=now)
    for slug in ("aa_1", "aa_list"):
        fields = {"slug": slug, "name": "Bench", "key_prefix": "bench"}
        app = apps.create_app(deployment_id=deployment.id, fields=fields, actor=SYSTEM, now=now)
    rows = []
    for row_id in range(first_id := ids.new_id(), first_id + KEYS):  # in a row: thousands made at random would clash
        secret = new_secret(SecretKind.KEY, "bench", env.load().peppers)
        rows.append(
            Key(
                id=row_id, deployment_id=deployment.id, app_id=app.id, lineage_id=row_id, name=f"key {row_id}",
                key_prefix="bench", key_suffix=secret.suffix, digest=secret.digest,
                pepper_version=secret.pepper_version, permissions=["read:x"], created_at=now, updated_at=now,
            )
        )  # fmt: skip
    Key.objects.bulk_create(rows, batch_size=1000)
    issued = deployments.issue_backend_key(deployment_id=deployment.id, name="bench", actor=SYSTEM, now=now)
    return issued.secret.text


def measure(target: str, backend_key: str, seconds: float) -> dict[str, Figures]:
    """Return the figures of each route of one application."""
    with served(target, THREADS) as (port, group):
        found = {}
        for name, call in CALLS.items():
            _load(port, backend_key, call, seconds / 4)
            before, began = cpu_seconds(group), time.monotonic()
            latencies = _load(port, backend_key, call, seconds)
            took, used = time.monotonic() - began, cpu_seconds(group) - before
            p99 = statistics.quantiles(latencies, n=100)[98]
            found[name] = Figures(used / len(latencies) * 1e3, len(latencies) / took, p99 * 1e3)
        return found


def _load(port: int, backend_key: str, call: Call, seconds: float) -> list[float]:
    latencies: list[float] = []
    problems: list[str] = []

    def work() -> None:
        with _connection(port) as connection:
            while time.monotonic() < end and not problems:
                began = time.perf_counter()
                headers = {"Authorization": f"Bearer {backend_key}", "Content-Type": "application/json"}
                connection.request(call.method, call.path, call.body, headers)
                response = connection.getresponse()
                answer = response.read()
                if response.status != 200:
                    problems.append(f"{response.status}: {answer[:200]!r}")
                latencies.append(time.perf_counter() - began)

    end = time.monotonic() + seconds
    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise RuntimeError(problems[0])
    return latencies


@contextmanager
def _connection(port: int) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def rows_of(found: dict[str, list[dict[str, Figures]]]) -> list[Row]:
    """Return the table: context first, then each route's ratio."""
    rows = []
    for route in CALLS:
        middle = {}
        for name, repeats in found.items():
            figures = [repeat[route] for repeat in repeats]
            middle[name] = statistics.median(figure.cpu for figure in figures)
            rows += [
                Row(f"{route}, {name}: CPU ms a call", middle[name]),
                Row(f"{route}, {name}: calls a second", statistics.median(figure.rate for figure in figures)),
                Row(f"{route}, {name}: p99 ms", statistics.median(figure.p99 for figure in figures)),
            ]
        ratio = middle["Keystead"] / middle["bare views"]
        rows.append(Row(f"P16 {route}: Keystead / bare views, CPU", ratio, f"<= {MOST_RATIO}", ratio <= MOST_RATIO))
    return rows


def main() -> None:
    """Measure, print, and save where asked to."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--smoke", action="store_true", help="a few seconds: does it run?")
    arguments.add_argument("--save", action="store_true", help="write bench/results/management.json")
    options = arguments.parse_args()
    seconds, repeats = (0.5, 1) if options.smoke else (4.0, 3)
    found: dict[str, list[dict[str, Figures]]] = {name: [] for name in APPLICATIONS}
    with prepared():
        os.environ["KEYSTEAD_CALLS_PER_MINUTE"] = "1000000"  # it is the cost that is measured, not the limit
        backend_key = seed()
        for _ in range(repeats):
            for name, target in APPLICATIONS.items():
                found[name].append(measure(target, backend_key, seconds))
    rows = rows_of(found)
    print_rows(rows)
    if options.save:
        save("management", rows, clients=CLIENTS, threads=THREADS, keys=KEYS, repeats=repeats, seconds=seconds)


if __name__ == "__main__":
    main()
