"""A worker waits for nobody without end, and takes nobody who is merely busy for silent."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from apiauth.audit import worker
from apiauth.audit.folder import shown, spool_files
from apiauth.audit.lag import Lag
from apiauth.audit.record import Record
from apiauth.audit.store import Store
from apiauth.core import clock
from apiauth.services.tickets import IssuedTicket
from tests.db.test_drain import count, record, write
from tests.faults.test_silent_database import SilentAfterLogin
from tests.support.database import dsn
from tests.support.proxy import FreezingProxy
from tests.support.running import until

Connection = psycopg.Connection[Any]
pytestmark = pytest.mark.django_db(transaction=True)
NOTE_FILE = "INSERT INTO apiauth_spoolfile SELECT %s, 'h', 0, 0, 0, now()"


@contextmanager
def working(folder: Path, address: str) -> Iterator[None]:
    """Run a worker until the block ends."""
    environment = SimpleNamespace(direct_database_url=address, spool_dir=folder, keep_decisions_days=0)
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(environment, stop, lambda: None))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive(), "it ends once it is told to"


def test_a_row_that_somebody_holds_does_not_stop_the_drain(
    connection: Connection, make_ticket: Callable[..., IssuedTicket], tmp_path: Path
) -> None:
    make_ticket(issued_at=clock.now() - timedelta(days=3))  # due to be forgotten
    write(tmp_path, [record()])
    somebody = psycopg.connect(dsn())
    assert somebody.execute("SELECT FROM apiauth_ticket FOR UPDATE").rowcount == 1
    with working(tmp_path, dsn()), closing(somebody):
        until(lambda: count(connection) == 1, 30, "the decision is in the log")


def test_a_file_whose_row_somebody_holds_does_not_stop_the_others_from_being_drained(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SETTINGS", "-c lock_timeout=100ms")
    files = 3
    for _ in range(files):
        write(tmp_path, [record()])
    held = shown(spool_files(tmp_path)[0].name)
    somebody = psycopg.connect(dsn())
    somebody.execute(NOTE_FILE, [held])
    with working(tmp_path, dsn()):
        with closing(somebody):
            until(lambda: count(connection) == files - 1, 30, "the decisions of the others are in the log")
        until(lambda: count(connection) == files, 30, "and then those of the file that was held")


def test_a_worker_whose_connection_falls_silent_as_it_stops_ends(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PATIENCE_SECONDS", 1.0)
    leave, has_left = Lag.leave, threading.Event()
    write(tmp_path, [record()])
    with closing(FreezingProxy(dsn())) as proxy:

        def leave_in_silence(self: Lag) -> None:
            proxy.freeze()
            has_left.set()
            leave(self)

        monkeypatch.setattr(Lag, "leave", leave_in_silence)
        with working(tmp_path, proxy.address):
            until(lambda: count(connection) == 1, 30, "the decision is in the log")
    assert has_left.is_set()


def test_a_worker_whose_connection_falls_silent_right_after_the_login_goes_on_over_another(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PATIENCE_SECONDS", 1.0)
    write(tmp_path, [record()])
    proxy = SilentAfterLogin(dsn())
    with working(tmp_path, proxy.address), closing(proxy):
        until(lambda: count(connection) == 1, 30, "the decision is in the log")
        assert proxy.accepted > 1, "the first was given up"


def test_a_database_that_takes_long_for_many_files_is_not_taken_for_silent(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers for each of them in time, and for all of them in more than that."""
    patience, files = 2.0, 10
    store, never = Store.store, threading.Event()

    def store_slowly(self: Store, records: Sequence[Record]) -> None:
        never.wait(1.5 * patience / files)
        store(self, records)

    monkeypatch.setattr(worker, "PATIENCE_SECONDS", patience)
    monkeypatch.setattr(Store, "store", store_slowly)
    for _ in range(files):
        write(tmp_path, [record()])
    proxy = FreezingProxy(dsn())
    with working(tmp_path, proxy.address), closing(proxy):
        until(lambda: count(connection) == files, 30, "every file's decision is in the log")
        assert proxy.accepted == 1, "over the one connection"
