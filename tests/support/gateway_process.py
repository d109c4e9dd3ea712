"""A gateway in a process of its own, as `./keystead gateway` runs it."""

import http.client
import json
from pathlib import Path
from typing import Any, NamedTuple

from apiauth.audit.record import Intact, Record, read_frames
from tests.support.gateways import question
from tests.support.processes import GATEWAY, Process, environment_in, free_port, ready
from tests.support.running import until

PATIENCE_SECONDS = 20


class Answer(NamedTuple):
    """What came back over HTTP, the names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


class GatewayProcess(Process):
    """Answers over HTTP; `records` reads what its spool holds."""

    def __init__(self, folder: Path, *, database: str | None = None, **variables: str) -> None:
        self.port = free_port()
        self._spool = folder / "spool"
        environment = environment_in(folder) | variables
        super().__init__(GATEWAY, self.port, environment=environment | ({"DATABASE_URL": database} if database else {}))
        ready(self.port)

    def ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        """Return the answer to one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, json.loads(response.read()))
        finally:
            connection.close()

    def check(self, secret: str) -> Answer:
        """Return the answer to one check."""
        return self.ask("POST", "/v1/authz/check", json.dumps(question(secret)).encode())

    def health(self) -> dict[str, Any]:
        """Return what it says of itself."""
        return self.ask("GET", "/health").body

    def until(self, secret: str, status: int, seconds: float = PATIENCE_SECONDS) -> None:
        """Ask until the answer has this status."""
        until(lambda: self.check(secret).status == status, seconds, f"the gateway answers {status}")

    def records(self) -> list[Record]:
        """Return the decisions that are on disk."""
        return [
            found.record
            for path in sorted(self._spool.glob("*.spool"))
            for found in read_frames(path.read_bytes(), 0, True)
            if isinstance(found, Intact)
        ]
