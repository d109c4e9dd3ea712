"""A bounded load generator: keep-alive connections over raw sockets, in a process of its own.

Usage: python -m bench.load PORT CONNECTIONS SECONDS REQUESTS_FILE. Each connection has one
request under way; the file holds one body a line. Prints the number of answers as JSON.
"""

import json
import select
import socket
import sys
import time
from pathlib import Path

_HEAD = (
    b"POST /v1/authz/check HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


def run(port: int, connections: int, seconds: float, bodies: list[bytes]) -> dict[str, int]:
    """Keep all connections busy for so long; return how many answers came, and how many were not 200."""
    requests = [_HEAD % len(body) + body for body in bodies]
    poll = select.epoll()
    sockets = {}
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sockets[connection.fileno()] = connection
        poll.register(connection, select.EPOLLIN)
    sent = 0
    for connection in sockets.values():
        connection.sendall(requests[sent % len(requests)])
        sent += 1
    answers = refused = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for descriptor, _ in poll.poll(1):
            connection = sockets[descriptor]
            data = connection.recv(65536)
            if not data:
                raise ConnectionError("the server closed a connection")
            answers += 1
            refused += not data.startswith(b"HTTP/1.1 200")
            connection.sendall(requests[sent % len(requests)])
            sent += 1
    return {"answers": answers, "refused": refused}


if __name__ == "__main__":
    lines = Path(sys.argv[4]).read_bytes().splitlines()
    print(json.dumps(run(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), lines)))
