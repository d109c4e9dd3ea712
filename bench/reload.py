"""Reloads two gateway processes again and again under keep-alive load, and counts what was not a 200.

    python -m bench.reload [--smoke] [--save]

Half of the callers keep their connection for as long as they may, the others make one for each
check. A reset, an end without an answer and a refused connection are failures like any other.
"""

import http.client
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from bench.check import body_of, prepared, seed
from bench.report import Options, Row, row, run
from config import ports
from config.supervisor import manage

CALLERS = 8
PROCESSES = 2
DEADLINE_SECONDS = 600


class Caller(threading.Thread):
    """Asks one check after the other, and counts the answers by their status."""

    def __init__(self, port: int, body: bytes, ending: threading.Event, *, keeps_alive: bool) -> None:
        super().__init__(daemon=True)
        self.counted: Counter[str] = Counter()
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._body, self._ending, self._keeps_alive = body, ending, keeps_alive

    def run(self) -> None:
        """Ask until told to stop."""
        while not self._ending.is_set():
            try:
                self._connection.request("POST", "/v1/authz/check", self._body)
                answer = self._connection.getresponse()
                answer.read()
                self.counted[str(answer.status)] += 1
            except (OSError, http.client.HTTPException) as problem:
                self.counted[type(problem).__name__] += 1
                self._connection.close()
            if not self._keeps_alive:
                self._connection.close()
        self._connection.close()


class Gateways:
    """The command that an operator runs, and what it says."""

    def __init__(self, folder: Path) -> None:
        self.port, self._said = ports.free(), folder / "said"
        command = manage("gateway", "--port", str(self.port), "--processes", str(PROCESSES))
        with self._said.open("wb") as output:
            self._process = subprocess.Popen(command, stderr=output, env=dict(os.environ))
        _until(lambda: ports.answers(self.port, "/ready"))

    def reload(self) -> None:
        """Replace every process."""
        before = self._reloads()
        self._process.send_signal(signal.SIGHUP)
        _until(lambda: self._reloads() > before)

    def _reloads(self) -> int:
        return self._said.read_text().count("Reloaded.")

    def stop(self) -> None:
        """End all of it."""
        self._process.terminate()
        self._process.wait()


def _until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError("the gateways did not get there")
        time.sleep(0.05)


def table(options: Options) -> list[Row]:
    """Reload under load."""
    reloads, requests = options.pick((1, 500), (20, 50_000))
    with prepared(), tempfile.TemporaryDirectory() as folder:
        body = body_of(seed(Path(folder))[0])
        began = time.monotonic()
        counted = storm(Gateways(Path(folder)), body, reloads, requests)
        seconds = time.monotonic() - began
    failed = sum(counted.values()) - counted["200"]
    return [
        row("requests", sum(counted.values()), at_least=requests),
        row("reloads of both processes", reloads),
        Row("F19 requests that were not answered 200", failed, "0", failed == 0, sane=failed == 0),
        *(row(f"  {what}", count) for what, count in counted.items() if what != "200"),
        row("seconds", seconds),
    ]


def storm(gateways: Gateways, body: bytes, reloads: int, requests: int) -> Counter[str]:
    """Reload so often, and go on until so many requests are through; return how each of them ended."""
    ending = threading.Event()
    callers = [Caller(gateways.port, body, ending, keeps_alive=number % 2 == 0) for number in range(CALLERS)]
    for caller in callers:
        caller.start()
    try:
        for _ in range(reloads):
            gateways.reload()
        _until(lambda: sum(sum(caller.counted.values()) for caller in callers) >= requests)
    finally:
        ending.set()
        for caller in callers:
            caller.join()
        gateways.stop()
    return sum((caller.counted for caller in callers), Counter())


if __name__ == "__main__":
    run("reload", table, __doc__, callers=CALLERS, processes=PROCESSES)
