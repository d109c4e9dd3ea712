"""A little traffic on the first run, so that the log and the charts have something to look at.

Runs as a child of `up`: the supervisor stays small, and Ctrl-C ends it like any other part.
"""

import http.client
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from apiauth.core import secrets
from config import ports

ROUNDS = 12
CALL_SECONDS = 2.0
PATHS = (("GET", "/v2/routes"), ("POST", "/v2/routes"), ("GET", "/v2/maps/berlin"), ("DELETE", "/v2/routes/7"))


def main() -> int:
    """Send a few dozen checks with the demo keys, then delete the file that holds them.

    A check that fails ends the traffic: nothing depends on it.
    """
    path = Path(os.environ["KEYSTEAD_DEMO_KEYS_FILE"])
    try:
        demo = json.loads(path.read_text())
    finally:
        path.unlink(missing_ok=True)
    connection = http.client.HTTPConnection(ports.HOST, int(sys.argv[1]), timeout=CALL_SECONDS)
    token = Path(os.environ["KEYSTEAD_BACKEND_KEY_FILE"]).read_text().strip()  # for a gateway that asks for one
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    with suppress(OSError, http.client.HTTPException):
        for call in calls(demo):
            connection.request("POST", "/v1/authz/check", json.dumps(call), headers)
            connection.getresponse().read()
    connection.close()
    return 0


def calls(demo: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the checks: most are allowed, some lack a permission, some show a key that nobody made."""
    keys = [key for key in demo.get("keys", []) if isinstance(key, dict) and key.get("secret")]
    for round_number in range(ROUNDS):
        for position, key in enumerate(keys):
            method, path = PATHS[(round_number + position) % len(PATHS)]
            held = list(key.get("permissions") or [])
            missing = ["billing:write"] if (round_number + position) % 5 == 4 else []
            yield _check(key["secret"], method, path, f"203.0.113.{10 + position}", held[:1] + missing)
        if keys and round_number % 3 == 2:
            yield _check(_unknown(keys[0]["secret"]), "GET", "/v1/routes", "198.51.100.7", [])


def _unknown(secret: str) -> str:
    """Return a text of a key's shape that nobody was given."""
    return secrets.mint(secrets.prefix_of(secret) or "nw_live")


def _check(secret: str, method: str, path: str, client_ip: str, permissions: list[str]) -> dict[str, Any]:
    call: dict[str, Any] = {
        "principal": {"type": "api_key", "value": secret},
        "method": method,
        "resource": path,
        "client_ip": client_ip,
        "user_agent": "example-product/1.0",
    }
    return call | ({"required_permissions": permissions} if permissions else {})


if __name__ == "__main__":
    sys.exit(main())
