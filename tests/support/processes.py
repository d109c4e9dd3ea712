"""Single server processes over the test database, in groups of their own that can be killed."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.support.database import dsn

GATEWAY = """
import sys
from config import ports, processes
processes.BODY_SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else processes.BODY_SECONDS
with ports.hold(int(sys.argv[1]), "--port") as held:
    processes.serve_wsgi("config.gateway_wsgi:application", held.fileno(), processes.GATEWAY_THREADS)
"""

WORKER = """
import threading
from apiauth.audit import worker
from config import env
worker.run(env.load(), threading.Event(), lambda: None)
"""


class Process:
    """A process group that can be killed and started again."""

    def __init__(self, code: str, *arguments: object, environment: dict[str, str]) -> None:
        self._command = [sys.executable, "-c", code, *map(str, arguments)]
        self._environment = environment
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._command,
            env=self._environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """Kill the whole group as kill -9 does; one that is dead already stays so."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def environment_in(folder: Path) -> dict[str, str]:
    """Return the environment of processes that keep their spool and limits in a folder."""
    return {
        **os.environ,
        "DATABASE_URL": dsn(),
        "KEYSTEAD_SPOOL_DIR": str(folder / "spool"),
        "KEYSTEAD_LIMITS_DIR": str(folder / "limits"),
        "KEYSTEAD_LIMIT_SLOTS": "4096",
    }


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def ready(port: int, seconds: float = 30) -> None:
    """Return once a gateway is ready; fail where that takes too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            threading.Event().wait(0.02)
        finally:
            connection.close()
    raise AssertionError("the gateway did not get ready")
