"""A web process over the test database, and a caller that writes it bytes."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from config import ports
from tests.support.database import database_url
from tests.support.processes import Process
from tests.support.running import until

# As `./keystead serve`, but for a shorter patience with headers and bodies that do not come.
SERVE = """
import sys
from config import ports, processes
processes.HEADER_READ_MS, processes.BODY_SECONDS = 500, 0.5
with ports.hold(int(sys.argv[1]), "--port") as held:
    processes.serve_wsgi("config.wsgi:application", held.fileno(), processes.WEB_THREADS)
"""
START_SECONDS = 30
PATIENCE_SECONDS = 20
Answer = tuple[int, dict[str, str], bytes]


@dataclass(frozen=True)
class Web:
    """A running web process."""

    port: int

    @contextmanager
    def connection(self) -> Iterator[socket.socket]:
        """Open a connection to it."""
        with socket.create_connection((ports.HOST, self.port), timeout=PATIENCE_SECONDS) as opened:
            yield opened

    def answer(self, data: bytes) -> Answer:
        """Send bytes and return the first answer."""
        with self.connection() as opened:
            opened.sendall(data)
            return next(answers(opened), (0, {}, b""))


def answers(opened: socket.socket) -> Iterator[Answer]:
    """Yield status, headers and body of each answer on a connection, until its end."""
    file = opened.makefile("rb")
    while line := _line(file):
        headers = {}
        while header := file.readline().strip():
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        yield int(line.split()[1]), headers, _body(file, line, headers)


def _line(file: BinaryIO) -> bytes:
    """Return the next line; nothing at the end of the connection, however it came."""
    try:
        return file.readline()
    except ConnectionResetError:
        return b""


def _body(file: BinaryIO, line: bytes, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") == "chunked":
        return b"".join(_chunks(file))
    if line.startswith(b"HTTP/1.0") and "content-length" not in headers:
        return file.read()
    return file.read(int(headers.get("content-length", 0)))


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while size := int(file.readline(), 16):
        yield file.read(size)
        file.readline()
    file.readline()


@contextmanager
def web_process(database: str | None = None, **variables: str) -> Iterator[Web]:
    """Serve the test database, or what a URL leads to, on a free port until the block ends."""
    port = ports.free()
    environment = {**os.environ, "DATABASE_URL": database or database_url(), **variables}
    process = Process(SERVE, port, environment=environment)
    try:
        until(lambda: ports.answers(port, "/ready"), START_SECONDS, "the web process is ready")
        yield Web(port)
    finally:
        process.kill()
