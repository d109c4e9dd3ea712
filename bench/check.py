"""The check beside a bare echo on the same server, in one run; and the core of the check by itself.

    python -m bench.check [--smoke] [--save]

CPU per request is that of the server's processes, from /proc, so a slow load generator does
not blur it. Every figure is the median of three repeats, and every target a ratio of one run.
"""

import hashlib
import hmac
import io
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.report import Options, Row, run

CONNECTIONS = 64
KEYS = 2_000
TICKS = os.sysconf("SC_CLK_TCK")
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


@contextmanager
def served(target: str, threads: int) -> Iterator[tuple[int, int]]:
    """Serve a WSGI application; yield its port and its process group."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-c", SERVE, target, str(port), str(threads)]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(port)
        yield port, process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


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


def cpu_seconds(group: int) -> float:
    """Return the processor time that all processes of a group have used."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group:
                total += int(fields[11]) + int(fields[12])
    return total / TICKS


def measure(target: str, threads: int, bodies: Path, seconds: float) -> tuple[float, float]:
    """Return CPU microseconds a request, and requests a second."""
    with served(target, threads) as (port, group):
        _load(port, bodies, min(seconds, 1))
        before = cpu_seconds(group)
        answers = _load(port, bodies, seconds)
        used = cpu_seconds(group) - before
    return used / answers * 1e6, answers / seconds


def _load(port: int, bodies: Path, seconds: float) -> int:
    command = [sys.executable, "-m", "bench.load", str(port), str(CONNECTIONS), str(seconds), str(bodies)]
    result = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    if result["refused"]:
        raise RuntimeError(f"{result['refused']} answers were not 200")
    return int(result["answers"])


def queries_per_hit(bodies: Path, seconds: float) -> tuple[float, float]:
    """Return transactions and row writes in the database a hit, less what an idle gateway does in that time."""
    import psycopg

    with (
        served("config.gateway_wsgi:application", 4) as (port, _),
        psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection,
    ):
        idle = _counters(connection, lambda: time.sleep(seconds))
        hits = []
        busy = _counters(connection, lambda: hits.append(_load(port, bodies, seconds)))
    return tuple(max(0, b - i) / hits[0] for b, i in zip(busy, idle, strict=True))  # type: ignore[return-value]


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


def core(secrets: list[str], calls: int) -> dict[str, float]:
    """Return microseconds a call in this process: hmac.digest, the whole application, the check alone."""
    from apiauth.http.check_request import parse_body
    from apiauth.verify.addresses import parse_address
    from apiauth.verify.check import Question
    from config.gateway_wsgi import application

    deadline = time.monotonic() + 30
    while not application._snapshot.is_loaded and time.monotonic() < deadline:
        time.sleep(0.01)
    bodies = [body_of(secret) for secret in secrets]
    bad = [secret[:-1] + ("A" if secret[-1] != "A" else "B") for secret in secrets]
    address = parse_address("203.0.113.9")

    def call(number: int) -> None:
        data = bodies[number % KEYS]
        application(
            {"PATH_INFO": "/v1/authz/check", "REQUEST_METHOD": "POST", "CONTENT_LENGTH": "1",
             "REMOTE_ADDR": "127.0.0.1", "wsgi.input": io.BytesIO(data)}, lambda status, headers: None,
        )  # fmt: skip

    def check(texts: list[str]) -> Callable[[int], None]:
        checker, required = application._checker, ["read:x"]
        return lambda number: checker.check(
            Question(texts[number % KEYS], "GET", "/v1/a", "/v1/a", address, "127.0.0.1", "x/1", required)
        )  # type: ignore[func-returns-value]

    key = b"k" * 32
    works = {
        "hmac.digest": lambda number: hmac.digest(key, secrets[number % KEYS].encode(), "sha256"),
        "pre-keyed sha256": lambda number: hashlib.sha256(key).copy(),
        "parse": lambda number: parse_body(bodies[number % KEYS]),
        "application": call,
        "check": check(secrets),
        "bad checksum": check(bad),
    }
    return {name: statistics.median(_time(work, calls) for _ in range(3)) for name, work in works.items()}


def _time(work: Callable[[int], Any], calls: int) -> float:
    began = time.perf_counter()
    for number in range(calls):
        work(number)
    return (time.perf_counter() - began) / calls * 1e6


def table(options: Options) -> list[Row]:
    """Measure over HTTP and in this process."""
    seconds, repeats, calls = options.pick((1.0, 1, 5_000), (5.0, 3, 50_000))
    with prepared() as folder:
        secrets = seed(folder)
        bodies = folder / "bodies"
        bodies.write_bytes(b"\n".join(map(body_of, secrets)))
        return _over_http(bodies, seconds, repeats) + _in_process(core(secrets, calls))


def _over_http(bodies: Path, seconds: float, repeats: int) -> list[Row]:
    figures: dict[str, list[tuple[float, float]]] = {"echo, 4 threads": [], "echo, 1 thread": [], "check": []}
    for _ in range(repeats):
        figures["echo, 4 threads"].append(measure("bench.check:echo", 4, bodies, seconds))
        figures["echo, 1 thread"].append(measure("bench.check:echo", 1, bodies, seconds))
        figures["check"].append(measure("config.gateway_wsgi:application", 4, bodies, seconds))
    cpu = {name: statistics.median(each[0] for each in found) for name, found in figures.items()}
    rate = {name: statistics.median(each[1] for each in found) for name, found in figures.items()}
    same = cpu["echo, 4 threads"] / cpu["check"]
    best = min(cpu["echo, 4 threads"], cpu["echo, 1 thread"]) / cpu["check"]
    queries, writes = queries_per_hit(bodies, seconds)
    return [
        *(Row(f"{name}: CPU µs a request", figure) for name, figure in cpu.items()),
        *(Row(f"{name}: requests a second", figure) for name, figure in rate.items()),
        Row("P1 echo with the same flags / check, CPU", same, ">= 0.75", same >= 0.75),
        Row("P1 echo at its best threads / check, CPU", best, ">= 0.60", best >= 0.60),
        Row("P3 transactions a hit", round(queries, 3), "0", queries < 0.001),
        Row("P3 row writes a hit", round(writes, 3), "0", writes < 0.001),
    ]


def _in_process(took: dict[str, float]) -> list[Row]:
    unit = took["hmac.digest"]
    ratio, bad = took["check"] / unit, took["bad checksum"] / took["check"]
    return [
        *(Row(f"{name}: µs in process", figure) for name, figure in took.items()),
        Row("P2 check with durable append / hmac.digest", ratio, "<= 5", ratio <= 5),
        Row("P2 application with durable append / hmac.digest", took["application"] / unit),
        Row("P2 bad checksum / good check", bad, "<= 0.45", bad <= 0.45),
    ]


if __name__ == "__main__":
    run("check", table, __doc__, connections=CONNECTIONS, keys=KEYS)
