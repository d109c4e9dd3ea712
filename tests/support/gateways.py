"""A gateway in this process, over a real database, a real spool and real limits."""

import io
import json
import time
from pathlib import Path
from typing import Any

from apiauth.audit.record import Intact, Record, read_frames
from apiauth.audit.spool import Spool
from apiauth.http.gateway import Admission, Gateway, NetworkAdmission
from apiauth.verify.check import Checker
from apiauth.verify.limiter import Limiter
from apiauth.verify.listener import Listener
from apiauth.verify.snapshot import STALE_BOUND_SECONDS, Snapshot
from apiauth.verify.tables import MOST_KEYS
from config import env
from tests.support.database import dsn


class GatewayInProcess:
    """Answers WSGI calls; `records` reads what its spool holds."""

    def __init__(
        self,
        folder: Path,
        admission: Admission | None = None,
        *,
        database: str | None = None,
        waits: bool = True,
        limiter: Limiter | None = None,
        most_keys: int = MOST_KEYS,
        stale_bound_seconds: float = STALE_BOUND_SECONDS,
        **checker: Any,
    ) -> None:
        self.folder = folder
        self.snapshot = Snapshot(most_keys, stale_bound_seconds)
        self.peppers = env.load().peppers
        self.spool = Spool(folder / "spool")
        self.limiter = limiter or Limiter(folder / "limits", slots=4096)
        self.listener = Listener(database or dsn(), self.snapshot, self.peppers)
        self.checker = Checker(
            snapshot=self.snapshot,
            limiter=self.limiter,
            spool=self.spool,
            peppers=self.peppers,
            **{"listener": self.listener, **checker},
        )
        self.admission = admission or NetworkAdmission()
        self.application = Gateway(checker=self.checker, snapshot=self.snapshot, admission=self.admission)
        self.listener.start()
        assert not waits or self.listener.loaded.wait(10)

    def close(self) -> None:
        self.listener.stop()
        self.spool.close()
        self.limiter.close()

    def records(self) -> list[Record]:
        return [
            found.record
            for path in sorted((self.folder / "spool").glob("*.spool"), key=lambda path: path.stat().st_ctime_ns)
            for found in read_frames(path.read_bytes(), 0, True)
            if isinstance(found, Intact)
        ]

    def call(
        self,
        body: bytes,
        *,
        path: str = "/v1/authz/check",
        method: str = "POST",
        peer: str = "127.0.0.1",
        **environ: Any,
    ) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and the JSON of one request."""
        started: list[tuple[str, list[tuple[str, str]]]] = []
        chunks = self.application(
            {
                "REQUEST_METHOD": method,
                "PATH_INFO": path,
                "CONTENT_LENGTH": str(len(body)),
                "REMOTE_ADDR": peer,
                "wsgi.input": io.BytesIO(body),
                **environ,
            },
            lambda status, headers: started.append((status, headers)),
        )
        ((status, headers),) = started
        return int(status[:3]), dict(headers), json.loads(b"".join(chunks))

    def check(self, secret: str, **fields: Any) -> tuple[int, dict[str, Any]]:
        """Return status and answer of one check."""
        status, _, answer = self.call(json.dumps(question(secret, **fields)).encode())
        return status, answer

    def until(self, secret: str, status: int, seconds: float = 5) -> float:
        """Ask until the answer has this status; return how long that took."""
        began = time.monotonic()
        while self.check(secret)[0] != status:
            assert time.monotonic() - began < seconds
        return time.monotonic() - began


def question(secret: str, **fields: Any) -> dict[str, Any]:
    """Return the body of a check."""
    return {"principal": {"type": "api_key", "value": secret}, "resource": "/v1/a", "method": "GET", **fields}
