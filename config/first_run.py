"""A little traffic on the first run, so that the log and the charts have something to look at."""

import http.client
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from config import ports

ROUNDS = 12
CALL_SECONDS = 2.0
PATHS = (("GET", "/v1/routes"), ("POST", "/v1/routes"), ("GET", "/v1/maps/berlin"), ("DELETE", "/v1/routes/7"))


def keys_file(data_dir: Path) -> Path:
    """Return where `prepare` leaves the demo keys for the one moment that they are needed."""
    return data_dir / "secrets" / "demo_keys"


def send_traffic(data_dir: Path, gateway_port: int) -> None:
    """Send a few dozen checks with the demo keys, then delete the file that holds them.

    A check that fails is skipped: nothing depends on this traffic.
    """
    path = keys_file(data_dir)
    if not path.exists():
        return
    try:
        demo = json.loads(path.read_text())
    finally:
        path.unlink()
    connection = http.client.HTTPConnection(ports.HOST, gateway_port, timeout=CALL_SECONDS)
    with suppress(OSError, http.client.HTTPException):
        for call in calls(demo):
            connection.request("POST", "/v1/authz/check", json.dumps(call), {"Content-Type": "application/json"})
            connection.getresponse().read()
    connection.close()


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
    """Return a text of a key's shape that no key has: its checksum does not fit."""
    return secret[:-1] + ("A" if secret[-1] != "A" else "B")


def _check(secret: str, method: str, path: str, client_ip: str, permissions: list[str]) -> dict[str, Any]:
    call: dict[str, Any] = {
        "principal": {"type": "api_key", "value": secret},
        "method": method,
        "resource": path,
        "client_ip": client_ip,
        "user_agent": "example-product/1.0",
    }
    return call | ({"required_permissions": permissions} if permissions else {})
