"""Connections are kept, waits are bounded, and a call is sent again only where that can do no harm."""

import asyncio
import gc
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from keystead_client import (
    AsyncKeystead,
    ChangedMeanwhile,
    Conflict,
    Keystead,
    SecretLost,
    TooMany,
    Unavailable,
    UnclearAnswer,
)
from keystead_client.shared import KEEP_ALIVE_SECONDS

from config import processes
from tests.clients.python.conftest import BACKEND_KEY, BRIEF, DROP, HANG, KEY, PATIENT, SOURCE, Ask, Peer, run

CALL: dict[str, Any] = {"method": "GET", "resource": "/v2/routes"}
MOMENT = "2026-11-23T14:00:00.000000Z"
APP = {
    "id": "7",
    "deployment_id": "1",
    "app_slug": "aa_1",
    "name": "Northwind",
    "key_prefix": "nw_live",
    "environment": "live",
    "description": None,
    "is_active": True,
    "permissions": ["routes:read"],
    "permission_details": {},
    "permission_presets": {},
    "resources": [],
    "default_role": "admin",
    "default_overlap_seconds": 0,
    "policy": {},
    "return_url": "",
    "test_url": "",
    "docs_url": "",
    "created_at": MOMENT,
    "updated_at": MOMENT,
}
MADE_KEY = {
    "id": "90",
    "deployment_id": "1",
    "app_slug": "aa_1",
    "name": "ci",
    "key_prefix": "nw_live",
    "key_suffix": "x9Qd",
    "permissions": [],
    "metadata": {},
    "rate_limits": [],
    "limits": [],
    "allowed_cidrs": [],
    "resources": [],
    "dropped_permissions": [],
    "dropped_resources": [],
    "user_id": None,
    "organization_id": None,
    "workspace_id": None,
    "created_by": "",
    "rotation_due_at": None,
    "is_rotation_overdue": False,
    "status": "active",
    "lineage_id": "90",
    "replaced_by": None,
    "overlap_ends_at": None,
    "expires_at": None,
    "last_used_at": None,
    "is_active": True,
    "created_at": MOMENT,
    "updated_at": MOMENT,
    "revoked_at": None,
    "revoked_reason": None,
}
TICKET = {"ticket": "kst_x", "url": "http://127.0.0.1:9/vanity/api-auth?ticket=kst_x", "expires_at": 1}


def test_checks_share_one_connection(peer: Peer) -> None:
    with Keystead(gateway_url=peer.url, check_timeout_seconds=PATIENT) as keystead:
        for _ in range(20):
            keystead.check(KEY, **CALL)

    assert (len(peer.asked), peer.connections) == (20, 1)


def test_an_idle_connection_is_given_up_before_the_gateway_gives_it_up() -> None:
    assert KEEP_ALIVE_SECONDS * 1000 < processes.HEADER_READ_MS


def test_checks_of_one_loop_share_one_connection(peer: Peer) -> None:
    async def ask_often() -> None:
        async with AsyncKeystead(gateway_url=peer.url, check_timeout_seconds=PATIENT) as keystead:
            for _ in range(20):
                await keystead.check(KEY, **CALL)

    run(ask_often())

    assert (len(peer.asked), peer.connections) == (20, 1)


def test_threads_share_a_client_and_each_gets_its_own_answer(peer: Peer) -> None:
    peer.always = lambda asked: (200, APP | {"app_slug": asked.path.rpartition("/")[2]})
    start = threading.Barrier(8)

    def ask(keystead: Keystead, number: int) -> list[str]:
        start.wait()
        return [keystead.get_app(f"aa_{number}").app_slug for _ in range(10)]

    with Keystead(peer.url, BACKEND_KEY) as keystead, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: ask(keystead, number), range(8)))

    assert answers == [[f"aa_{number}"] * 10 for number in range(8)]
    assert peer.connections <= 8


def test_one_async_client_serves_several_loops(peer: Peer) -> None:
    keystead = AsyncKeystead(gateway_url=peer.url, check_timeout_seconds=PATIENT)

    async def ask_once() -> bool:
        decision = await keystead.check(KEY, **CALL)
        await keystead.aclose()
        return decision.allowed

    assert [run(ask_once()), run(ask_once())] == [True, True]


def connections_to(peer: Peer) -> int:
    """Return how many connections to the peer this process has open."""
    port = f"{int(peer.url.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port}") and row[9] != "0" for row in rows)


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # most loops end without a word to the client
def test_nothing_is_kept_of_event_loops_that_are_over(peer: Peer) -> None:
    keystead = AsyncKeystead(gateway_url=peer.url, check_timeout_seconds=PATIENT)

    async def ask_once(*, last: bool = False) -> bool:
        decision = await keystead.check(KEY, **CALL)
        if last:
            await keystead.aclose()
        return decision.allowed

    assert all(run(ask_once()) for _ in range(20))
    gc.collect()
    assert (peer.connections, connections_to(peer)) == (20, 1), "that of the latest loop"

    assert run(ask_once(last=True))
    gc.collect()
    assert connections_to(peer) == 0


FORK = """
import os, sys
from keystead_client import Keystead
keystead = Keystead(gateway_url=sys.argv[1], check_timeout_seconds=30)
ask = lambda: keystead.check("nw_live_x", method="GET", resource="/").allowed
assert ask()
child = os.fork()
if child == 0:
    os._exit(0 if ask() else 1)
_, status = os.waitpid(child, 0)
assert status == 0 and ask()
"""


def test_a_forked_process_opens_connections_of_its_own(peer: Peer) -> None:
    subprocess.run([sys.executable, "-c", FORK, peer.url], check=True, env={"PYTHONPATH": str(SOURCE)}, timeout=30)

    assert (len(peer.asked), peer.connections) == (3, 2)


def test_a_cancelled_check_leaves_the_client_usable(peer: Peer) -> None:
    peer.will_answer(HANG)

    async def cancel_one() -> bool:
        async with AsyncKeystead(gateway_url=peer.url, check_timeout_seconds=30) as keystead:
            task = asyncio.create_task(keystead.check(KEY, **CALL))
            await asyncio.to_thread(peer.hanging.acquire)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return (await keystead.check(KEY, **CALL)).allowed

    assert run(cancel_one()) is True
    assert len(peer.asked) == 2


@pytest.fixture
def dripping() -> Iterator[str]:
    """A peer that begins an answer and then sends a byte now and then, for ever."""
    over = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not over.wait(0.05):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        thread.join()


def test_an_answer_that_drips_in_is_not_waited_for(ask: Ask, dripping: str) -> None:
    with pytest.raises(Unavailable, match="too long"):
        ask("check", KEY, **CALL, client={"gateway_url": dripping, "check_timeout_seconds": BRIEF})


PASSING = [
    pytest.param(DROP, id="dropped"),
    pytest.param((502, b""), id="502"),
    pytest.param((503, {"code": "unavailable"}, {"Retry-After": "0"}), id="503"),
    pytest.param((504, b""), id="504"),
    pytest.param((429, {"code": "too_many"}, {"Retry-After": "0"}), id="429 that says when"),
]


@pytest.mark.parametrize("answer", PASSING)
def test_a_read_is_tried_again(ask: Ask, peer: Peer, answer: Any) -> None:
    peer.will_answer(answer, answer, (200, APP, {"ETag": '"1"'}))

    assert ask("get_app", "aa_1").etag == '"1"'
    assert len(peer.asked) == 3


def test_a_read_is_tried_three_times_at_most(ask: Ask, peer: Peer) -> None:
    peer.always = (503, {"code": "unavailable"})

    with pytest.raises(Unavailable):
        ask("get_app", "aa_1")
    assert len(peer.asked) == 3


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param((429, {"code": "too_many"}), TooMany, id="429 that says nothing"),
        pytest.param((429, {"code": "too_many"}, {"Retry-After": "60"}), TooMany, id="a long wait"),
        pytest.param((409, {"code": "conflict"}), Conflict, id="a conflict"),
        pytest.param((500, {"code": "error"}), UnclearAnswer, id="a failure"),
        pytest.param(HANG, Unavailable, id="the time is up"),
    ],
)
def test_what_will_not_pass_is_not_tried_again(ask: Ask, peer: Peer, answer: Any, kind: type[Exception]) -> None:
    peer.will_answer(answer)

    seconds = BRIEF if answer == HANG else PATIENT
    with pytest.raises(kind):
        ask("create_key", "aa_1", name="ci", client={"management_timeout_seconds": seconds})
    assert len(peer.asked) == 1


@pytest.mark.parametrize("answer", PASSING)
def test_a_creating_call_is_sent_again_under_one_name(ask: Ask, peer: Peer, answer: Any) -> None:
    peer.will_answer(answer, (200, {"key": MADE_KEY, "secret": KEY}))

    assert ask("create_key", "aa_1", name="ci").secret == KEY

    first, second = peer.asked
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body == {"name": "ci"}


def test_two_creating_calls_have_two_names_unless_the_caller_gives_one(ask: Ask, peer: Peer) -> None:
    peer.always = (200, {"key": MADE_KEY, "secret": KEY})
    ask("create_key", "aa_1", name="ci")
    ask("create_key", "aa_1", name="ci")
    ask("rotate_key", "aa_1", "90", idempotency_key="order-1")

    names = [asked.headers["idempotency-key"] for asked in peer.asked]
    assert len(set(names)) == 3
    assert names[2] == "order-1"


def test_a_retry_waits_for_its_first_send(ask: Ask, peer: Peer) -> None:
    peer.will_answer(DROP, (409, {"code": "in_flight"}), (200, {"key": MADE_KEY, "secret": KEY}))

    assert ask("rotate_key", "aa_1", "90").key.id == "90"


def test_a_secret_that_got_lost_is_said_to_be(ask: Ask, peer: Peer) -> None:
    peer.will_answer(DROP, (200, {"key": MADE_KEY, "secret": None, "replayed": True}))

    with pytest.raises(SecretLost, match="rotate") as raised:
        ask("create_key", "aa_1", name="ci")
    assert raised.value.key.id == "90"


def test_a_ticket_that_got_lost_is_issued_anew(ask: Ask, peer: Peer) -> None:
    peer.will_answer(DROP, (200, TICKET))

    assert ask("issue_ticket", "aa_1").url == TICKET["url"]
    assert "idempotency-key" not in peer.asked[1].headers


@pytest.mark.parametrize("answer", PASSING)
def test_a_change_is_never_sent_twice(ask: Ask, peer: Peer, answer: Any) -> None:
    for name, args, kwargs in (
        ("revoke_key", ("aa_1", "90"), {"reason": "leaked"}),
        ("update_app", ("aa_1",), {"name": "New"}),
        ("delete_app", ("aa_1",), {}),
    ):
        peer.asked.clear()
        peer.will_answer(answer)
        with pytest.raises((Unavailable, TooMany)):
            ask(name, *args, **kwargs)
        assert len(peer.asked) == 1


def test_a_change_since_the_read_is_an_error_of_its_own(ask: Ask, peer: Peer) -> None:
    peer.will_answer((412, {"code": "changed_meanwhile", "message": "Changed."}))

    with pytest.raises(ChangedMeanwhile, match="Changed"):
        ask("update_app", "aa_1", if_match='"1"', description=None)
    assert peer.asked[0].headers["if-match"] == '"1"'
    assert peer.asked[0].body == {"description": None}


def test_a_check_is_asked_again_where_the_connection_was_refused(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        refusing = f"http://127.0.0.1:{closed.getsockname()[1]}"
        pauses: list[float] = []
        monkeypatch.setattr("keystead_client.client.time.sleep", pauses.append)
        with Keystead(gateway_url=refusing) as keystead, pytest.raises(Unavailable, match="ConnectError"):
            keystead.check(KEY, **CALL)

    assert len(pauses) == 2
    assert 0.05 <= pauses[0] <= 0.1 <= pauses[1] <= 0.2
    with Keystead(gateway_url=refusing, retries=0) as keystead, pytest.raises(Unavailable):
        keystead.check(KEY, **CALL)
    assert len(pauses) == 2
