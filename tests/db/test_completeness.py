"""The log says up to which moment it is complete, so that nobody takes what is late for what never was."""

import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import time_machine

from apiauth.audit import completeness, worker
from apiauth.audit.drain import Drain
from apiauth.audit.lag import Lag
from apiauth.audit.partitions import ensure_partitions
from apiauth.audit.record import frame
from apiauth.audit.spool import Spool, host_name
from apiauth.core import clock
from tests.db.test_drain import record
from tests.support.database import dsn
from tests.support.running import until

Connection = psycopg.Connection[Any]
pytestmark = pytest.mark.django_db(transaction=True)
AGO = timedelta(minutes=5)
MOMENT = timedelta(seconds=30)  # by which a loaded machine may be late


@pytest.fixture
def connection(transactional_db: None) -> Iterator[Connection]:
    """A connection to a database that has heard of no gateway, and of no worker."""
    with psycopg.connect(dsn(), autocommit=True) as found:
        found.execute("TRUNCATE apiauth_gatewaystatus")
        ensure_partitions(found)
        yield found
        found.execute("TRUNCATE apiauth_gatewaystatus")


def gateway(connection: Connection, host: str, started_at: datetime) -> None:
    connection.execute(
        "INSERT INTO apiauth_gatewaystatus (incarnation, host, pid, generation, confirmed_at, started_at)"
        " VALUES (%s, %s, 1, 1, clock_timestamp(), %s)",
        [uuid.uuid4(), host, started_at],
    )


def write(folder: Path, host: str, moment: datetime) -> None:
    (folder / f"{host}-1-{uuid.uuid4().hex}.spool").write_bytes(frame(record(moment=moment)))


def is_behind() -> bool:
    return completeness.behind(completeness.complete_until(), clock.now()) is not None


def test_where_no_gateway_was_heard_nothing_is_missing(connection: Connection) -> None:
    assert abs(completeness.complete_until() - clock.now()) < MOMENT


def test_what_waits_in_the_spool_is_missing_until_it_is_drained(connection: Connection, tmp_path: Path) -> None:
    gateway(connection, "one", clock.now() - timedelta(hours=1))
    write(tmp_path, "one", clock.now() - AGO)
    lag = Lag(connection, tmp_path)
    lag.note(0)
    assert abs(completeness.complete_until() - (clock.now() - AGO)) < MOMENT
    Drain(connection, tmp_path).drain_all()
    lag.leave()
    assert is_behind(), "the gateway goes on"
    until(lambda: lag.note(1) or not is_behind(), 30, "the worker says that nothing waits")


def test_a_gateway_that_no_worker_serves_is_behind_from_its_start(connection: Connection, tmp_path: Path) -> None:
    gateway(connection, "two", clock.now() - AGO)
    Lag(connection, tmp_path).note(0)
    assert abs(completeness.complete_until() - (clock.now() - AGO)) < MOMENT


def test_the_host_that_is_furthest_behind_counts(connection: Connection, tmp_path: Path) -> None:
    for host, minutes in (("one", 2), ("two", 7)):
        folder = tmp_path / host
        folder.mkdir()
        gateway(connection, host, clock.now() - timedelta(hours=1))
        write(folder, host, clock.now() - timedelta(minutes=minutes))
        Lag(connection, folder).note(0)
    assert abs(completeness.complete_until() - (clock.now() - timedelta(minutes=7))) < MOMENT


@pytest.mark.parametrize("goes_on", [True, False], ids=["a gateway goes on", "no gateway goes on"])
def test_after_a_worker_has_stopped_the_log_stands_still_where_a_gateway_goes_on(
    connection: Connection, tmp_path: Path, goes_on: bool
) -> None:
    class Settings:
        direct_database_url = dsn()
        spool_dir = tmp_path
        keep_decisions_days = 0

    if goes_on:
        gateway(connection, host_name(), clock.now() - timedelta(hours=1))
    stop = threading.Event()
    thread = threading.Thread(target=worker.run, args=(Settings(), stop, lambda: None))
    thread.start()
    until(lambda: connection.execute("SELECT FROM apiauth_workerstatus").rowcount, 30, "the worker has reported")
    assert not is_behind()
    stop.set()
    thread.join()
    left = connection.execute("SELECT complete_until FROM apiauth_workerstatus").fetchall()
    assert left == ([(completeness.complete_until(),)] if goes_on else [])
    later = clock.now() + AGO
    assert completeness.behind(completeness.complete_until(), later) if goes_on else not is_behind()


def test_what_a_worker_of_another_name_has_drained_does_not_wait(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers that share a spool: the worker's is replaced, and the gateway's goes on with its file."""
    with closing(Spool(tmp_path)) as spool:
        spool.append(record(moment=clock.now() - AGO))
        monkeypatch.setattr(socket, "gethostname", lambda: "worker.before")
        Drain(connection, tmp_path).drain_all()
        monkeypatch.setattr(socket, "gethostname", lambda: "worker.after")
        Lag(connection, tmp_path).note(0)
        assert list(tmp_path.glob("*.spool")), "its gateway has not sealed it"
        assert not is_behind()


@pytest.mark.parametrize("ahead", [-2 * AGO, 2 * AGO], ids=["behind", "ahead"])
def test_how_long_something_waits_is_told_by_the_clock_that_decisions_are_dated_by(
    connection: Connection, tmp_path: Path, ahead: timedelta
) -> None:
    """That is the database's: by a host's own, what waits might be from the future, or have waited for ever."""
    write(tmp_path, "one", clock.now() - AGO)
    with time_machine.travel(clock.now() + ahead):
        Lag(connection, tmp_path).note(0)
    assert abs(completeness.complete_until() - (clock.now() - AGO)) < MOMENT
