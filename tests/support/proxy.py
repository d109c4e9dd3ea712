"""A way to the database that can fall silent: connections stay open, nothing passes any more."""

import socket
import threading
from contextlib import suppress

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo


class FreezingProxy:
    """Passes connections on to a server's socket. `freeze` silences those that there are; new ones pass."""

    def __init__(self, address: str) -> None:
        with psycopg.connect(address) as connection:
            self._target = f"{connection.info.host}/.s.PGSQL.{connection.info.port}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        facts = conninfo_to_dict(address) | {"host": "127.0.0.1", "port": self._listener.getsockname()[1]}
        self.address = make_conninfo(**{name: str(value) for name, value in facts.items()})
        self._open = threading.Event()
        self._open.set()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self) -> None:
        """Let nothing through on the connections that there are."""
        self._open.clear()
        self._open = threading.Event()
        self._open.set()

    def close(self) -> None:
        """End everything."""
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                self._sockets += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=_pass_on, args=(*pair, self._open), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket, is_open: threading.Event) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            if is_open.is_set():
                target.sendall(data)
