"""The check beside a bare echo on the same server, in one run; and the core of the check by itself.

    python -m bench.check [--smoke] [--save]

CPU per request is that of the server's processes, from /proc, so a slow load generator does
not blur it; in this process it is the CPU of the one thread. All take turns, and every target
is a ratio of two figures of one turn.
"""

import hmac
import io
import json
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench.report import Options, Row, ratios, row, run
from bench.seeding import A_LIMIT_NOBODY_REACHES, KEYS, new_app, new_deployment, new_keys
from bench.stage import CONNECTIONS, Cost, cost, load_answered, serving
from config.processes import GATEWAY_THREADS

ECHO, GATEWAY = "bench.check:echo", "config.gateway_wsgi:application"
STRICT = "check with five rules and CIDR"
FIVE_LIMITS = (
    {"unit": "minute", "mode": "per_key"},
    {"unit": "hour", "mode": "per_key"},
    {"unit": "day", "mode": "per_app"},
    {"unit": "minute", "mode": "per_ip"},
    {"unit": "hour", "mode": "per_key_and_ip"},
)
NETWORKS = ["198.51.100.0/24", "203.0.113.0/24"]
SERVE = """
import sys
from config import ports, processes
with ports.hold(int(sys.argv[2]), "--port") as held:
    processes.serve_wsgi(sys.argv[1], held.fileno(), int(sys.argv[3]))
"""


def echo(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Answer with the body: the least that a JSON server can do."""
    body = environ["wsgi.input"].read(16_385)
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]


@contextmanager
def prepared(kept: Path | None = None) -> Iterator[Path]:
    """Lay out a data folder with a database of its own; throw both away at the end, but for a folder to be `kept`."""
    from config import first_secrets
    from config.postgres import EmbeddedPostgres

    folder = kept or Path(tempfile.mkdtemp(prefix="keystead-bench-"))
    os.environ["KEYSTEAD_DATA_DIR"] = str(folder)
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    first_secrets.make(folder / "secrets")
    server = EmbeddedPostgres(folder, durable=False)
    os.environ["DATABASE_URL"] = server.start()
    try:
        yield folder
    finally:
        server.stop()
        if kept is None:
            shutil.rmtree(folder, ignore_errors=True)


def seed(folder: Path, keys: int = KEYS) -> list[str]:
    """Make an app with a limit that nobody reaches, and its keys; return their secrets."""
    import django

    django.setup()
    from django.core.management import call_command

    from apiauth.core import clock, ids
    from apiauth.core.actor import SYSTEM
    from apiauth.core.secrets import SecretKind, new_secret
    from apiauth.models import Key
    from apiauth.services import apps, deployments, limits
    from config import env

    call_command("migrate", verbosity=0)
    now = clock.now()
    deployment = deployments.create_deployment(name="Bench", allowed_origins=(), actor=SYSTEM, now=now)
    rule = {"unit": "minute", "duration": 1, "max_requests": 2_000_000_000, "mode": "per_key"}
    limits.create_scheme(deployment_id=deployment.id, slug="s", name="S", rules=[rule], actor=SYSTEM, now=now)
    fields = {"slug": "aa_1", "name": "Bench", "key_prefix": "bench", "rate_limit_scheme_slug": "s"}
    app = apps.create_app(deployment_id=deployment.id, fields=fields, actor=SYSTEM, now=now)
    secrets = [new_secret(SecretKind.KEY, "bench", env.load().peppers) for _ in range(keys)]
    rows = []
    first_id = ids.new_id()  # the others follow in a row: thousands made at random would clash
    for number, secret in enumerate(secrets):
        row_id = first_id + number
        rows.append(
            Key(
                id=row_id, deployment_id=deployment.id, app_id=app.id, lineage_id=row_id, name=f"key {number}",
                key_prefix="bench", key_suffix=secret.suffix, digest=secret.digest,
                pepper_version=secret.pepper_version, permissions=["read:x", "write:x"],
                metadata={"team": "blue"}, created_at=now, updated_at=now,
            )
        )  # fmt: skip
    Key.objects.bulk_create(rows)
    return [secret.text for secret in secrets]


def body_of(secret: str) -> bytes:
    """Return the body of one check as the client library writes it."""
    return json.dumps(
        {
            "principal": {"type": "api_key", "value": secret},
            "resource": "/v1/orders?page=2",
            "method": "GET",
            "client_ip": "203.0.113.9",
            "user_agent": "product/1.0",
            "required_permissions": ["read:x"],
        },
        separators=(",", ":"),
    ).encode()


def wait_until_ready(port: int) -> None:
    """Return once a gateway on this port is ready. Raises TimeoutError."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                connection.sendall(b"GET /ready HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                if connection.recv(100).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise TimeoutError("the server did not get ready")


def queries_per_hit(bodies: Path, seconds: float, connection: psycopg.Connection[Any]) -> tuple[float, float]:
    """Return transactions and row writes in the database a hit, less what an idle gateway does in that time."""
    with serving(GATEWAY, GATEWAY_THREADS) as (port, _):
        idle = _counters(connection, lambda: time.sleep(seconds))
        hits: list[int] = []
        busy = _counters(connection, lambda: hits.append(load_answered(port, bodies, seconds)["answers"]))
    transactions, writes = (max(0, b - i) / hits[0] for b, i in zip(busy, idle, strict=True))
    return transactions, writes


def _counters(connection: Any, work: Callable[[], Any]) -> tuple[int, int]:
    statement = (
        "SELECT xact_commit + xact_rollback, tup_inserted + tup_updated + tup_deleted"
        " FROM pg_stat_database WHERE datname = current_database()"
    )
    connection.execute("SELECT pg_stat_force_next_flush()")
    before = connection.execute(statement).fetchone()
    work()
    time.sleep(1.2)  # the statistics of other sessions are flushed once a second
    after = connection.execute(statement).fetchone()
    return after[0] - before[0], after[1] - before[1]


class _NoSpool:
    """Takes records and keeps none."""

    def append_frames(self, frames: list[bytes]) -> None:
        """Do nothing."""


def core(secrets: list[str], calls: int, turns: int) -> dict[str, list[float]]:
    """Return CPU microseconds a call in this process, one figure a turn: hmac.digest, and parts of the gateway."""
    from apiauth.http.check_request import parse_body
    from apiauth.verify.addresses import parse_address
    from apiauth.verify.check import Question
    from config.gateway_wsgi import application

    deadline = time.monotonic() + 30
    while not application._snapshot.is_loaded and time.monotonic() < deadline:
        time.sleep(0.01)
    bodies = [body_of(secret) for secret in secrets]
    bad = [secret[:-1] + ("A" if secret[-1] != "A" else "B") for secret in secrets]
    address, required, key = parse_address("203.0.113.9"), ["read:x"], b"k" * 32
    checker = application._checker
    spool: Any = checker._spool

    def call(number: int) -> None:
        data = bodies[number % KEYS]
        application(
            {"PATH_INFO": "/v1/authz/check", "REQUEST_METHOD": "POST", "CONTENT_LENGTH": str(len(data)),
             "REMOTE_ADDR": "127.0.0.1", "wsgi.input": io.BytesIO(data)}, lambda status, headers: None,
        )  # fmt: skip

    def question(text: str) -> Question:
        return Question(text, "GET", "/v1/a", "/v1/a", address, "127.0.0.1", "x/1", required)

    good, wrong = list(map(question, secrets)), list(map(question, bad))
    works: dict[str, tuple[Callable[[int], Any], Any]] = {
        "hmac.digest": (lambda number: hmac.digest(key, secrets[number % KEYS].encode(), "sha256"), spool),
        "parse": (lambda number: parse_body(bodies[number % KEYS]), spool),
        "check": (lambda number: checker.check(good[number % KEYS]), spool),
        "check, not appended": (lambda number: checker.check(good[number % KEYS]), _NoSpool()),
        "bad checksum": (lambda number: checker.check(wrong[number % KEYS]), spool),
        "application": (call, spool),
    }
    found: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(turns + 1):
        for name, (work, sink) in works.items():
            checker._spool = sink
            took = _time(work, calls)
            if turn:  # the first one warms up
                found[name].append(took)
    return found


def _time(work: Callable[[int], Any], calls: int) -> float:
    began = time.thread_time()
    for number in range(calls):
        work(number)
    return (time.thread_time() - began) / calls * 1e6


def requests_of(folder: Path) -> tuple[list[str], Path, Path]:
    """Make an app with one limit, and one with five whose keys may be used from two networks only.

    Returns the secrets of the first, and what to ask about the keys of either.
    """
    deployment_id = new_deployment()
    plain = new_keys(new_app(deployment_id, "aa_plain", [A_LIMIT_NOBODY_REACHES]))
    app = new_app(deployment_id, "aa_strict", [{**A_LIMIT_NOBODY_REACHES, **each} for each in FIVE_LIMITS])
    strict = new_keys(app)
    app.keys.update(allowed_cidrs=NETWORKS)
    for name, secrets in (("plain", plain), ("strict", strict)):
        (folder / name).write_bytes(b"\n".join(map(body_of, secrets)))
    return plain, folder / "plain", folder / "strict"


def table(options: Options) -> list[Row]:
    """Measure over HTTP and in this process."""
    seconds, repeats = options.pick((1.0, 1), (5.0, 3))
    calls, turns = options.pick((500, 5), (2_000, 25))
    with prepared() as folder, psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        secrets, plain, strict = requests_of(folder)
        over_http = _over_http(plain, strict, seconds, repeats, connection)
        return over_http + _in_process(core(secrets, calls, turns))


def _over_http(
    plain: Path, strict: Path, seconds: float, repeats: int, connection: psycopg.Connection[Any]
) -> list[Row]:
    servers = {
        "echo, same flags": (ECHO, GATEWAY_THREADS, plain, True),
        "echo, 1 thread": (ECHO, 1, plain, True),
        "echo, on any processor": (ECHO, GATEWAY_THREADS, plain, False),
        "echo, 1 thread, on any processor": (ECHO, 1, plain, False),
        "check": (GATEWAY, GATEWAY_THREADS, plain, True),
        "check, on any processor": (GATEWAY, GATEWAY_THREADS, plain, False),
        STRICT: (GATEWAY, GATEWAY_THREADS, strict, True),
    }
    found: dict[str, list[Cost]] = {name: [] for name in servers}
    for _ in range(repeats):
        for name, (target, threads, bodies, is_kept) in servers.items():
            with serving(target, threads, is_kept=is_kept) as (port, group):
                found[name].append(cost(port, group, bodies, seconds, connection))
    cpu = {name: [each.cpu for each in costs] for name, costs in found.items()}
    same = cpu["echo, same flags"]
    echoes = [cpu[name] for name, (target, *_) in servers.items() if target == ECHO]
    best = [min(turn) for turn in zip(*echoes, strict=True)]
    queries, writes = queries_per_hit(plain, seconds, connection)
    return [
        *(row(f"{name}: CPU µs a request", figures) for name, figures in cpu.items()),
        *(row(f"{name}: requests a second", [each.rate for each in costs]) for name, costs in found.items()),
        row("P1 echo with the same flags / check, CPU", ratios(same, cpu["check"]), at_least=0.75),
        row("P1 echo at its best threads / check, CPU", ratios(best, cpu["check"]), at_least=0.60),
        row(f"P1 echo with the same flags / {STRICT}, CPU", ratios(same, cpu[STRICT]), at_least=0.60),
        row(f"P1 echo at its best threads / {STRICT}, CPU", ratios(best, cpu[STRICT]), at_least=0.50),
        Row("P3 transactions a hit", round(queries, 3), "0", queries < 0.001),
        Row("P3 row writes a hit", round(writes, 3), "0", writes < 0.001),
    ]


def _in_process(took: dict[str, list[float]]) -> list[Row]:
    unit, check = took["hmac.digest"], took["check"]
    return [
        *(row(f"{name}: µs in process", figures) for name, figures in took.items()),
        row("P2 check with durable append / hmac.digest", ratios(check, unit), at_most=5),
        row("P2 check without durable append / hmac.digest", ratios(took["check, not appended"], unit), at_most=3.5),
        row("P2 application with durable append / hmac.digest", ratios(took["application"], unit)),
        row("P2 bad checksum / good check", ratios(took["bad checksum"], check), at_most=0.45),
    ]


if __name__ == "__main__":
    run("check", table, __doc__, connections=CONNECTIONS, keys=KEYS)
