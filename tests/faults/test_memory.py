"""What callers send is not kept: the memory of a gateway stays as it is, however long and however various it is."""

import http.client
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway_process import GatewayProcess
from tests.support.gateways import question

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes]

CALLS = 2_500
GROWTH_BYTES = 25_000_000  # what is kept of late calls, at most; kept whole, the calls below take 100 MB and more
EMOJI = "\N{GRINNING FACE}"  # one of them makes every character of a text take four bytes


@pytest.fixture
def gateway(transactional_db: None, tmp_path: Path) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path)
    yield process
    process.kill()


def resident_bytes(process: GatewayProcess) -> int:
    """Return the memory of a process and its children."""
    family = [process.process.pid]
    family += map(int, Path(f"/proc/{family[0]}/task/{family[0]}/children").read_text().split())
    pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in family)
    return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def ask_all(gateway: GatewayProcess, secret: str, make: Callable[[int], dict[str, Any]]) -> None:
    """Ask as many questions, each with other fields."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    for number in range(CALLS):
        body = json.dumps(question(secret) | make(number), ensure_ascii=False).encode()
        connection.request("POST", "/v1/authz/check", body)
        response = connection.getresponse()
        response.read()
        assert response.status == 200
    connection.close()


@pytest.mark.parametrize(
    "make",
    [
        lambda number: {"resource": f"/{number}{'a' * 4_000}{EMOJI}"},
        lambda number: {"user_agent": f"{number}{'a' * 14_000}{EMOJI}"},
        lambda number: {"required_permissions": [" OR ".join(f"a{number}" for _ in range(100))]},
        lambda number: {"client_ip": f"2001:db8:{number % 65_536:x}::1"},
    ],
    ids=["resources", "user agents", "permissions", "addresses"],
)
def test_various_calls_leave_memory_as_it_is(
    gateway: GatewayProcess, make_key: Callable[..., Any], make: Callable[[int], dict[str, Any]]
) -> None:
    secret = make_key().secret.text
    gateway.until(secret, 200)
    before = resident_bytes(gateway)
    ask_all(gateway, secret, make)
    assert resident_bytes(gateway) - before < GROWTH_BYTES
