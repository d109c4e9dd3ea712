"""The machine loses its power: what the disk had been made to keep arrives, and the rest is a tail, never a hole."""

import itertools
import os
import random
import stat
import threading
from pathlib import Path

import pytest

from apiauth.audit.drain import Drain
from apiauth.audit.spool import SYNC_SECONDS, Spool
from tests.db.test_drain import (
    count,
    counted,
    record,
    recorded,
)
from tests.support.running import until

pytestmark = pytest.mark.django_db(transaction=True)


class Disk:
    """What a disk would hold if the power went now: what was written before a sync began, under names synced since."""

    def __init__(self, monkeypatch):
        self._real_fdatasync, self._real_fsync = os.fdatasync, os.fsync
        self._lock = threading.Lock()
        self._sizes: dict[int, int] = {}
        self._names: dict[Path, dict[str, int]] = {}
        monkeypatch.setattr(os, "fdatasync", self._fdatasync)
        monkeypatch.setattr(os, "fsync", self._fsync)

    def _fdatasync(self, descriptor):
        before = os.fstat(descriptor)
        self._real_fdatasync(descriptor)
        with self._lock:
            self._sizes[before.st_ino] = max(before.st_size, self._sizes.get(before.st_ino, 0))

    def _fsync(self, descriptor):
        assert stat.S_ISDIR(os.fstat(descriptor).st_mode)
        folder = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        names = {entry.name: entry.inode() for entry in os.scandir(folder)}
        self._real_fsync(descriptor)
        with self._lock:
            self._names[folder] = names

    def kept_of(self, path: Path) -> int:
        """Return how many bytes of a file have reached the disk."""
        with self._lock:
            return self._sizes.get(path.stat().st_ino, 0)

    def stop(self, monkeypatch):
        """Keep nothing any more: the power is about to go."""
        monkeypatch.setattr(os, "fdatasync", lambda descriptor: None)

    def after_power_loss(self, folder: Path, copy: Path, tail: bytes = b"") -> Path:
        """Copy what is left of a folder, with `tail` where blocks were promised to a file and never written."""
        copy.mkdir()
        with self._lock:
            assert folder.name in self._names[folder.parent], "the folder itself is kept"
            for name, inode in self._names[folder].items():
                kept = (folder / name).read_bytes()[: self._sizes.get(inode, 0)]
                (copy / name).write_bytes(kept + tail)
        return copy


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def arrived(connection, folder):
    Drain(connection, folder).drain_all()
    assert not list(folder.glob("*.spool"))
    rows = recorded(connection)
    assert counted(connection) == {len(rows)}
    assert len(set(rows)) == len(rows), "none twice"
    return set(rows)


def test_where_each_record_is_synced_none_is_lost_at_any_moment(connection, disk, tmp_path):
    spool = Spool(tmp_path / "spool", "always", segment_bytes=2000)
    begun, acknowledged, stop = [], [], threading.Event()

    def ask():
        while not stop.is_set():
            each = record()
            begun.append(each.id)
            spool.append(each)
            acknowledged.append(each.id)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    dice, left = random.Random(15), []
    for turn in range(12):
        enough = len(acknowledged) + dice.randrange(1, 15)
        until(lambda: len(acknowledged) >= enough, 30, "more records")  # noqa: B023  # called before the next turn
        answered = set(acknowledged)
        left.append((answered, disk.after_power_loss(tmp_path / "spool", tmp_path / f"after {turn}")))
    stop.set()
    for thread in threads:
        thread.join()
    spool.close()
    for answered, copy in left:
        assert answered <= arrived(connection, copy) <= set(begun)


def test_otherwise_what_is_older_than_the_last_sync_is_there_and_only_the_newest_is_lost(
    connection,
    disk,
    tmp_path,
    monkeypatch,
):
    assert SYNC_SECONDS <= 0.05
    spool = Spool(tmp_path / "spool")
    first = [record() for _ in range(100)]
    for each in first:
        spool.append(each)
    (path,) = (tmp_path / "spool").glob("*.spool")
    until(lambda: disk.kept_of(path) == path.stat().st_size, 10, "a sync that nobody asked for")
    disk.stop(monkeypatch)
    later = [record() for _ in range(100)]
    for each in later:
        spool.append(each)
    copy = disk.after_power_loss(tmp_path / "spool", tmp_path / "after")
    spool.close()
    assert arrived(connection, copy) == {each.id for each in first}


@pytest.mark.parametrize("tail", [b"\0" * 4096, b"KS", os.urandom(500)], ids=["zeros", "a beginning", "old blocks"])
def test_what_stands_in_blocks_that_were_never_written_is_put_aside(connection, disk, tmp_path, tail):
    spool = Spool(tmp_path / "spool", "always")
    records = [record() for _ in range(10)]
    for each in records:
        spool.append(each)
    copy = disk.after_power_loss(tmp_path / "spool", tmp_path / "after", tail)
    spool.close()
    assert arrived(connection, copy) == {each.id for each in records}
    assert list((copy / "quarantine").iterdir())


def test_what_the_worker_had_read_before_the_disk_had_it_stays_recorded_once(
    connection,
    disk,
    tmp_path,
    monkeypatch,
):
    spool = Spool(tmp_path / "spool", "always")
    spool.append(record())
    disk.after_power_loss(tmp_path / "spool", tmp_path / "after")
    disk.stop(monkeypatch)
    spool.append(record())
    Drain(connection, tmp_path / "spool").drain_all()
    assert count(connection) == 2
    spool.close()
    assert len(arrived(connection, tmp_path / "after")) == 2, "its file is shorter now than what was read of it"


def test_a_deleted_file_that_is_there_again_counts_nothing_twice(connection, disk, tmp_path):
    spool = Spool(tmp_path / "spool", "always")
    for _ in range(10):
        spool.append(record())
    again = [disk.after_power_loss(tmp_path / "spool", tmp_path / f"after {number}") for number in range(2)]
    spool.close()
    for copy in itertools.chain([tmp_path / "spool"], again):
        assert len(arrived(connection, copy)) == 10
