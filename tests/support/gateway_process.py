"""A gateway in a process of its own, as `./keystead gateway` runs it."""

import http.client
import json
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.database import dsn
from tests.support.gateways import question
from tests.support.oracle import DECISIONS, Callers, Verdict, judge
from tests.support.oracle import Answer as Decided
from tests.support.processes import GATEWAY, Process, environment_in, free_port, ready
from tests.support.running import until

PATIENCE_SECONDS = 20


class Answer(NamedTuple):
    """What came back over HTTP, the names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: dict[str, Any]


class GatewayProcess(Process):
    """Answers over HTTP; every decision that `check` hears is kept for the judge."""

    def __init__(self, folder: Path, *, database: str | None = None, code: str = GATEWAY, **variables: str) -> None:
        self.port = free_port()
        self.answers: list[Decided] = []
        self._spool = folder / "spool"
        environment = environment_in(folder) | variables
        super().__init__(code, self.port, environment=environment | ({"DATABASE_URL": database} if database else {}))
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
        answer = self.ask("POST", "/v1/authz/check", json.dumps(question(secret)).encode())
        if answer.status in DECISIONS:
            self.answers.append((answer.body["request_id"], answer.body["allowed"]))
        return answer

    def health(self) -> dict[str, Any]:
        """Return what it says of itself."""
        return self.ask("GET", "/health").body

    def until(self, secret: str, status: int, seconds: float = PATIENCE_SECONDS) -> None:
        """Ask until the answer has this status."""
        until(lambda: self.check(secret).status == status, seconds, f"the gateway answers {status}")

    def judged(self, callers: Callers | None = None, *, database: str | None = None) -> Verdict:
        """End it, and compare what it answered to `check` and to callers with what is recorded."""
        self.kill()
        return judge([*self.answers, *(callers.answers if callers else ())], self._spool, address=database or dsn())
