"""A way to the database that can fall silent, be slow, or be cut off and mended."""

import socket
import threading
import time
from contextlib import suppress
from urllib.parse import quote

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
        self.delay_seconds = 0.0
        """For how long everything that comes from the server is held back."""
        self.accepted = 0
        """How many connections it has passed on so far."""
        self._open = threading.Event()
        self._open.set()
        self._is_cut = False
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Return the address as a URL, for processes that run Django."""
        facts = {name: quote(str(value), safe="") for name, value in conninfo_to_dict(self.address).items()}
        login = ":".join(facts[name] for name in ("user", "password") if name in facts)
        return f"postgresql://{login}@{facts['host']}:{facts['port']}/{facts['dbname']}"

    def freeze(self) -> None:
        """Let nothing through on the connections that there are."""
        self._open.clear()
        self._open = threading.Event()
        self._open.set()

    def freeze_all(self) -> None:
        """Let nothing through on the connections that there are, nor on new ones, until `mend`."""
        self._open.clear()

    def cut(self) -> None:
        """End the connections that there are, and new ones at once, until `mend`."""
        self._is_cut = True
        self._end_connections()

    def mend(self) -> None:
        """Let new connections pass again; those that were silenced end."""
        self._end_connections()
        self._is_cut = False
        self._open = threading.Event()
        self._open.set()

    def close(self) -> None:
        """End everything."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._end_connections()

    def _end_connections(self) -> None:
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._is_cut:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                self._sockets += [client, server]
                self.accepted += 1
                threading.Thread(target=self._pass_on, args=(client, server, self._open), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, self._open), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_open: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if source.family == socket.AF_UNIX and self.delay_seconds:
                    time.sleep(self.delay_seconds)  # the fault itself: a slow database
                if is_open.is_set():
                    target.sendall(data)
