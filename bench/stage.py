"""Servers under load: as many processes of an application as asked for, what they cost, and what PostgreSQL costs."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from config import ports

CONNECTIONS = 64
TICKS = os.sysconf("SC_CLK_TCK")
START_SECONDS = 30
_SERVE = """
import os
import sys
from config import processes
if number := int(sys.argv[4]):
    processes.keep_to_processor(number)
os.nice(int(sys.argv[5]))
processes.serve_wsgi(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
"""


@dataclass(frozen=True)
class Cost:
    """What a request cost: CPU microseconds of the server's processes and of PostgreSQL's; and how many a second."""

    cpu: float
    database: float
    rate: float


@contextmanager
def serving(
    target: str,
    threads: int,
    processes: int = 1,
    environment: Mapping[str, str] | None = None,
    is_kept: bool = True,
    niceness: int = 0,
) -> Iterator[tuple[int, int]]:
    """Serve a WSGI application in so many processes on one port; yield the port and the process group of all.

    Each keeps to one processor, as gateways do, unless they are not kept.
    """
    with ports.hold(0, "--port") as held, tempfile.TemporaryDirectory() as folder:
        reports = [Path(folder) / str(number) for number in range(processes)]
        started: list[subprocess.Popen[bytes]] = []
        try:
            for number, report in enumerate(reports, 1):
                variables = {**os.environ, **(environment or {}), "KEYSTEAD_READY_REPORT": str(report)}
                group = started[0].pid if started else 0
                kept = number if is_kept else 0
                started.append(_start(target, held.fileno(), threads, variables, group, kept, niceness))
            _wait_for(reports, started)
            yield ports.number(held), started[0].pid
        finally:
            with suppress(ProcessLookupError):  # where none came up
                os.killpg(started[0].pid, signal.SIGKILL)
            for process in started:
                process.wait()


def _start(
    target: str, listener: int, threads: int, variables: Mapping[str, str], group: int, number: int, niceness: int
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _SERVE, target, str(listener), str(threads), str(number), str(niceness)]
    return subprocess.Popen(command, env=variables, pass_fds=[listener], process_group=group, stderr=subprocess.DEVNULL)


def _wait_for(reports: list[Path], started: list[subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not all(report.exists() for report in reports):
        if time.monotonic() > deadline or any(process.poll() is not None for process in started):
            raise TimeoutError("the server did not get ready")
        time.sleep(0.02)


def cpu_of_group(group: int) -> float:
    """Return the seconds of processor time that all processes of a group have used."""
    return sum(used for process_group, used in map(_times, _pids()) if process_group == group)


def cpu_of_database(connection: psycopg.Connection[Any]) -> float:
    """Return the seconds of processor time that the sessions of the database server have used, this one left out."""
    sessions = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    return sum(_times(pid)[1] for (pid,) in sessions)


def _pids() -> Iterator[int]:
    return (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())


def _times(pid: int) -> tuple[int, float]:
    """Return the process group and the processor time of a process; nothing where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0, 0.0
    return int(fields[2]), (int(fields[11]) + int(fields[12])) / TICKS


def load(
    port: int, requests: Path, seconds: float, rate: float | None = None, connections: int = CONNECTIONS
) -> dict[str, Any]:
    """Ask a server for so long, as fast as it can or at a rate; return what the load generator counted."""
    command = [sys.executable, "-m", "bench.load", str(port), str(connections), str(seconds), str(requests)]
    command += [] if rate is None else [str(rate)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def load_answered(
    port: int, requests: Path, seconds: float, rate: float | None = None, connections: int = CONNECTIONS
) -> dict[str, Any]:
    """As `load`, where every answer has to allow. Raises RuntimeError."""
    found = load(port, requests, seconds, rate, connections)
    if found["refused"] or found["blocked"] or not found["answers"]:
        raise RuntimeError(f"not all answers allow: {found}")
    return found


def cost(
    port: int,
    group: int,
    requests: Path,
    seconds: float,
    connection: psycopg.Connection[Any],
    connections: int = CONNECTIONS,
) -> Cost:
    """Warm a server up, saturate it, and return what a request cost."""
    load_answered(port, requests, min(seconds, 1), connections=connections)
    server, database = cpu_of_group(group), cpu_of_database(connection)
    answers = load_answered(port, requests, seconds, connections=connections)["answers"]
    server, database = cpu_of_group(group) - server, cpu_of_database(connection) - database
    return Cost(server / answers * 1e6, database / answers * 1e6, answers / seconds)
