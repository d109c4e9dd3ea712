"""The spool's disk is full: decisions go to the reserve, then to the database, and an unrecorded one is never given."""

import os
import subprocess
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from apiauth.audit.direct import Direct
from apiauth.audit.drain import Drain
from apiauth.audit.record import frame
from apiauth.audit.spool import Spool, SpoolFull
from tests.db.test_drain import (
    count,
    counted,
    record,
    recorded,
    written,
)
from tests.support.database import dsn
from tests.support.proxy import FreezingProxy
from tests.support.running import until

pytestmark = pytest.mark.django_db(transaction=True)
DISK_BYTES = 1024 * 1024
RESERVE_BYTES = 64 * 1024
NOWHERE = "postgresql://nobody@127.0.0.1:9/none"


@pytest.fixture
def disk(tmp_path):
    """A file system of one mebibyte, which only root may mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "keystead-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root can mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def direct():
    sink = Direct(dsn())
    yield sink
    sink.close()


def fill(folder: Path) -> Path:
    """Take all the room that is left."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            return filler
    raise AssertionError("the disk has no end")


def append_until_refused(spool, records=10_000):
    taken = []
    for _ in range(records):
        each = record()
        try:
            spool.append(each)
        except SpoolFull:
            return taken
        taken.append(each)
    raise AssertionError("nothing was refused")


def test_the_reserve_takes_over_where_the_disk_is_full(connection, disk):
    spool = Spool(disk / "spool", reserve_bytes=RESERVE_BYTES)
    assert spool.room().has_reserve
    fill(disk)
    taken = append_until_refused(spool)
    assert len(taken) > RESERVE_BYTES // 200
    assert spool.room().is_short
    spool.close()
    Drain(connection, disk / "spool").drain_all()
    assert recorded(connection) == written(taken)


def test_behind_the_reserve_the_database_takes_decisions_directly(connection, disk, direct):
    spool = Spool(disk / "spool", reserve_bytes=RESERVE_BYTES, second_sink=direct)
    fill(disk)
    one_by_one, together = ([record() for _ in range(number)] for number in (1000, 50))
    for each in one_by_one:
        spool.append(each)
    spool.append_all(together)
    directly = count(connection)
    assert 0 < directly < 1050, "some by each way"
    spool.close()
    Drain(connection, disk / "spool").drain_all()
    assert recorded(connection) == written(one_by_one + together)
    assert counted(connection) == {1050}


def test_without_disk_and_database_there_is_no_decision(connection, disk):
    spool = Spool(disk / "spool", second_sink=Direct(NOWHERE))
    fill(disk)
    taken = append_until_refused(spool)
    with pytest.raises(SpoolFull):
        spool.append(record())
    spool.close()
    Drain(connection, disk / "spool").drain_all()
    assert recorded(connection) == written(taken)


def test_one_caller_alone_waits_for_a_database_that_is_silent_and_not_for_ever(connection):
    proxy = FreezingProxy(dsn())
    sink = Direct(proxy.address)
    sink([record()])
    proxy.freeze()
    refused = []

    def ask():
        with pytest.raises(SpoolFull):
            sink([record()])
        refused.append(True)

    first = threading.Thread(target=ask)
    first.start()
    until(sink._lock.locked, 5, "the first waits")
    ask()
    assert first.is_alive()
    first.join()
    assert refused == [True, True]
    assert count(connection) == 1
    sink.close()
    proxy.close()


def test_the_reserve_is_made_anew_once_there_is_room(disk, monkeypatch):
    monkeypatch.setattr("apiauth.audit.spool.RESERVE_SECONDS", 0.0)
    spool = Spool(disk / "spool", reserve_bytes=RESERVE_BYTES)
    filler = fill(disk)
    append_until_refused(spool)
    assert not spool.room().has_reserve
    filler.unlink()
    while not spool.room().has_reserve:
        spool.append(record())
    assert not spool.room().is_short
    spool.close()


def test_a_gateway_starts_on_a_full_disk_and_writes_once_there_is_room(connection, disk):
    (disk / "spool").mkdir()
    filler = fill(disk)
    spool = Spool(disk / "spool", reserve_bytes=RESERVE_BYTES)
    filler.unlink()
    spool.append(record())
    spool.close()
    Drain(connection, disk / "spool").drain_all()
    assert count(connection) == 1


def test_a_record_that_went_both_ways_is_kept_and_counted_once(connection, tmp_path, direct):
    twice, once = record(), record()
    direct([twice])
    spool = Spool(tmp_path)
    spool.append_all([twice, once])
    spool.close()
    Drain(connection, tmp_path).drain_all()
    assert recorded(connection) == written([twice, once])
    assert counted(connection) == {2}


def test_damage_that_the_full_disk_cannot_take_a_copy_of_keeps_no_record_back(connection, disk):
    spool = disk / "spool"
    spool.mkdir()
    whole = [record() for _ in range(5)]
    torn = frame(record())[:-5]
    (spool / "a.spool").write_bytes(torn + b"".join(map(frame, whole)))
    filler = fill(disk)
    drain = Drain(connection, spool)
    with capture_logs() as logs:
        for _ in range(3):
            drain.drain_all()
            assert {row[0].bytes for row in connection.execute("SELECT id FROM apiauth_decision")} == {
                each.id for each in whole
            }
            assert counted(connection) == {5}
            assert (spool / "a.spool").exists(), "the only copy of what is damaged"
    assert [entry["event"] for entry in logs].count("drain.quarantine_failed") == 1, "not at each try"
    filler.unlink()
    drain.drain_all()
    assert not (spool / "a.spool").exists()
    assert [path.read_bytes() for path in (spool / "quarantine").iterdir()] == [torn]
