"""How a server process lets its callers go: every answer asks them to, and it ends once they are gone.

The server itself closes idle connections as soon as it is told to stop, and a request that is
under way to it just then is lost.
"""

import multiprocessing.util
import signal
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from apiauth.http import connections

StartResponse = Callable[..., Any]
WSGIApplication = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

STOP = signal.SIGTERM
HAND_OVER = signal.SIGUSR2  # to a successor that takes from the same listening socket
AT_ONCE = signal.SIGUSR1
LEAST_SECONDS = 0.1
LOOK_SECONDS = 0.02
REPEAT_SECONDS = 1.0
GO = ("Connection", "close")

log = structlog.get_logger(__name__)


def keep_for_worker() -> None:
    """Let the server's main process live through the signals that are its worker's alone, but reach both."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {HAND_OVER, AT_ONCE})


def at_end(function: Callable[[], Any]) -> None:
    """Call a function when this process ends by itself, the last one first; `atexit` does not do so in a worker."""
    multiprocessing.util.Finalize(None, function, exitpriority=0)


def take_signals() -> None:
    """Keep the signals that ask for a graceful stop for `LettingGo`; before any thread starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {STOP, HAND_OVER, AT_ONCE})


class LettingGo:
    """A WSGI application that lets its callers go when its process is asked to stop."""

    def __init__(self, application: WSGIApplication, seconds: int) -> None:
        """Take `seconds` at most to let them go."""
        self._application = application
        self._seconds = seconds
        self._is_stopping = False

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        if not self._is_stopping:
            return self._application(environ, start_response)
        if environ["PATH_INFO"] == "/ready":
            start_response("503 Service Unavailable", [("Content-Type", "application/json"), GO])
            return [b'{"status":"stopping"}']

        def start_last_response(status: str, headers: list[tuple[str, str]], problem: object = None) -> Any:
            return start_response(status, [*headers, GO], problem)

        return self._application(environ, start_last_response)

    def start(self) -> None:
        """Wait for the signals in the background."""
        threading.Thread(target=self._run, name="graceful-stop", daemon=True).start()

    def _run(self) -> None:
        asked = signal.sigwait({STOP, HAND_OVER, AT_ONCE})
        ports = connections.listening_ports()
        self._is_stopping = True
        if asked == HAND_OVER:
            connections.stop_accepting()
        deadline = time.monotonic() + (0 if asked == AT_ONCE else self._seconds)
        time.sleep(LEAST_SECONDS)  # the server's main process has been asked as well: it shall not be surprised
        while (left := connections.count(ports)) and time.monotonic() < deadline:
            if signal.sigtimedwait({AT_ONCE}, LOOK_SECONDS):
                break
        log.info("server.ends", hands_over=asked == HAND_OVER, connections_closed=left)
        while True:  # again where the server is only just starting; not sooner, or it may disturb the end
            # Its own way to stop, in the thread that waits for it: requests under way are still answered.
            signal.pthread_kill(_main_thread(), signal.SIGINT)
            time.sleep(REPEAT_SECONDS)


def _main_thread() -> int:
    ident = threading.main_thread().ident
    assert ident is not None  # it runs
    return ident
