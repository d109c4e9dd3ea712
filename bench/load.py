"""A bounded load generator: keep-alive connections over raw sockets, in a process of its own.

Usage: python -m bench.load PORT CONNECTIONS SECONDS REQUESTS_FILE [RATE]. Each connection has one request
under way. The file holds one body of a check a line; or whole requests, each ended by a NUL byte, where its
name ends in `.http`. Prints as JSON how many answers came, how many were not 200, and how many
say that the check is blocked.

Without RATE all connections are kept busy. With it, so many requests are due a second, and what is printed
besides is the latency in milliseconds from the moment a request was due, not from when a connection was free
for it: a server that falls behind cannot hide that.
"""

import json
import re
import select
import socket
import statistics
import sys
import time
from collections import deque
from itertools import cycle
from pathlib import Path
from typing import Any

_LENGTH = re.compile(rb"\ncontent-length: (\d+)", re.IGNORECASE)
_HEAD = (
    b"POST /v1/authz/check HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


def requests_in(path: Path) -> list[bytes]:
    """Return the requests of a file."""
    if path.suffix == ".http":
        return path.read_bytes().rstrip(b"\0").split(b"\0")
    return [_HEAD % len(body) + body for body in path.read_bytes().splitlines()]


def connected(port: int, connections: int) -> dict[int, socket.socket]:
    """Return open connections by their descriptors."""
    sockets = {}
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[connection.fileno()] = connection
    return sockets


class Answers:
    """Reads answers off the connections, in however many pieces they come: Django's come in several."""

    def __init__(self, sockets: dict[int, socket.socket]) -> None:
        self._sockets = sockets
        self._begun: dict[int, bytes] = {}
        self.refused = self.blocked = 0

    def is_read(self, descriptor: int) -> bool:
        """Read what is there; tell whether the answer is whole. Raises ConnectionError at the connection's end."""
        data = self._sockets[descriptor].recv(65536)
        if not data:
            raise ConnectionError("the server closed a connection")
        if self._begun:
            data = self._begun.pop(descriptor, b"") + data
        if not is_whole(data):
            self._begun[descriptor] = data
            return False
        self.refused += not data.startswith(b"HTTP/1.1 200")
        self.blocked += b'"allowed":false' in data  # a blocked check is a 200 too, mostly
        return True


def is_whole(data: bytes) -> bool:
    """Tell whether this is a whole answer, by its length or its last chunk."""
    head, _, body = data.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n")


def saturate(port: int, connections: int, seconds: float, requests: list[bytes]) -> dict[str, Any]:
    """Keep all connections busy for so long, then hear the last answers out."""
    following = cycle(requests)
    poll = select.epoll()
    sockets = connected(port, connections)
    for descriptor, connection in sockets.items():
        poll.register(descriptor, select.EPOLLIN)
        connection.sendall(next(following))
    reading, answers = Answers(sockets), 0
    under_way = len(sockets)
    end = time.monotonic() + seconds
    while under_way:
        goes_on = time.monotonic() < end
        for descriptor, _ in poll.poll(1):
            if reading.is_read(descriptor):
                answers += 1
                if goes_on:
                    sockets[descriptor].sendall(next(following))
                else:
                    under_way -= 1
    return {"answers": answers, "refused": reading.refused, "blocked": reading.blocked}


def pace(port: int, connections: int, seconds: float, requests: list[bytes], rate: float) -> dict[str, Any]:
    """Send so many requests a second, evenly, over whatever connection is free; time each from when it was due."""
    following = cycle(requests)
    sockets = connected(port, connections)
    idle, due_of = deque(sockets), dict[int, float]()
    reading, taken, sent = Answers(sockets), list[float](), 0
    began = time.perf_counter()
    total = int(seconds * rate)
    while len(taken) < total:
        now = time.perf_counter()
        while idle and sent < total and (due := began + sent / rate) <= now:
            descriptor = idle.popleft()
            due_of[descriptor] = due
            sockets[descriptor].sendall(next(following))
            sent += 1
        wait = max(0.0, began + sent / rate - time.perf_counter()) if idle and sent < total else 1.0
        # `select` waits to the microsecond; `epoll` rounds up to the millisecond
        for descriptor in select.select(list(due_of), [], [], wait)[0]:
            if reading.is_read(descriptor):
                taken.append((time.perf_counter() - due_of.pop(descriptor)) * 1e3)
                idle.append(descriptor)
    cuts = statistics.quantiles(taken, n=100)
    found = {"answers": total, "refused": reading.refused, "blocked": reading.blocked}
    return {**found, "p50": cuts[49], "p99": cuts[98], "most": max(taken)}


if __name__ == "__main__":
    where = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), requests_in(Path(sys.argv[4]))
    print(json.dumps(pace(*where, float(sys.argv[5])) if len(sys.argv) > 5 else saturate(*where)))
