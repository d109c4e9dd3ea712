"""Frees a server process whose every thread waits for the rest of some body.

The server hands a request over once its headers are there and sets no time for its body, so as
many callers as there are threads could stop all others by never finishing theirs. Which
connection a thread waits for is not told. Hence all are closed, in this one case: whoever was
only waiting its turn connects anew.
"""

import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import CodeType, FrameType
from typing import Any

import structlog

from apiauth.http import connections

LOOKS_PER_LIMIT = 10

log = structlog.get_logger(__name__)


class SlowBodies:
    """Watches how long the threads of this process stay in one function, at no cost to those that do not."""

    def __init__(self, reader: Callable[..., Any], threads: int, seconds: float) -> None:
        self._reader: CodeType = reader.__code__
        self._threads = threads
        self._seconds = seconds
        self._since: dict[FrameType, float] = {}

    def start(self) -> None:
        """Watch in the background for as long as the process lives."""
        threading.Thread(target=self._run, name="slow-bodies", daemon=True).start()

    def are_all_held(self, now: float) -> bool:
        """Tell whether every thread has been in one call of the reader for too long; `now` in seconds."""
        frames = [frame for frame in sys._current_frames().values() if frame.f_code is self._reader]
        self._since = {frame: self._since.get(frame, now) for frame in frames}
        held = sum(now - since >= self._seconds for since in self._since.values())
        return held >= self._threads

    def _run(self) -> None:
        while True:
            time.sleep(self._seconds / LOOKS_PER_LIMIT)
            if self.are_all_held(time.monotonic()):
                log.error("slow_bodies", threads=self._threads, seconds=self._seconds, cut_off=cut_callers_off())
                self._since = {}


def cut_callers_off() -> int:
    """Close every connection that this process has accepted; return how many those were."""
    count = 0
    with ExitStack() as stack:
        for each in connections.accepted(connections.listening_ports(), stack):
            with suppress(OSError):  # its caller went by itself meanwhile
                each.shutdown(socket.SHUT_RDWR)
                count += 1
    return count
