"""A spool keeps every record it acknowledged, whatever happens to the bytes around it."""

import errno
import fcntl
import os
import resource
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apiauth.audit import spool as spool_module
from apiauth.audit.record import (
    HEADER,
    MAGIC,
    Damaged,
    Intact,
    Record,
    fields,
    frame,
    frame_fields,
    new_decision_number,
    read_frames,
    record_of,
)
from apiauth.audit.spool import Spool, SpoolFull, is_owned


def record(number: int = 0, path: str = "/v1/a") -> Record:
    decision = new_decision_number(1_800_000_000_000 + number).to_bytes(16, "big")
    return Record(
        decision, 1, 2, 3, "ci", None, ["60/60s"], None, None, "GET", path, "203.0.113.9", "127.0.0.1", "x/1",
        ["read:x"], None, [59], None, 12, 30, "host",
    )  # fmt: skip


TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)
RECORDS = st.builds(
    Record,
    id=st.binary(min_size=16, max_size=16),
    deployment_id=st.none() | st.integers(0, 2**63 - 1),
    app_id=st.none() | st.integers(0, 2**63 - 1),
    key_id=st.none() | st.integers(0, 2**63 - 1),
    key_name=st.none() | TEXTS,
    presented_start=st.none() | TEXTS,
    rule=st.none() | TEXTS,
    blocked_by=st.none() | TEXTS,
    method=TEXTS,
    path=TEXTS,
    client_ip=st.none() | TEXTS,
    peer_ip=st.none() | TEXTS,
    user_agent=TEXTS,
    required_permissions=st.lists(TEXTS, max_size=64),
    held_permissions=st.none() | st.lists(TEXTS, max_size=20),
    limits=st.lists(TEXTS, max_size=20),
    left=st.lists(st.integers(0, 2**31), max_size=20),
    retry_after=st.none() | st.integers(0, 2**32),
    snapshot_age_ms=st.integers(0, 2**40),
    duration_us=st.integers(0, 2**40),
    node=TEXTS,
)


@given(RECORDS)
def test_a_record_of_fields_encoded_before_is_the_record_itself(whole):
    number, *values = (getattr(whole, name) for name in Record.__struct_fields__)
    encoded = (fields(*values[:5]), fields(values[5]), tuple(values[6:-1]), fields(values[-1]))
    quick = frame_fields(int.from_bytes(number, "big"), *encoded)
    assert quick == frame(whole)
    assert record_of(quick) == whole


def records_in(folder) -> list[Record]:
    files = sorted(folder.glob("*.spool"))
    return [
        found.record for path in files for found in read_frames(path.read_bytes(), 0, True) if isinstance(found, Intact)
    ]


@given(st.data())
@settings(max_examples=300)
def test_damage_costs_only_the_frames_it_touches(data):
    records = [record(number) for number in range(data.draw(st.integers(1, 6)))]
    frames = [frame(each) for each in records]
    whole = b"".join(frames)
    damaged = bytearray(whole)
    touched = set()
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=3)):
        damaged[place] ^= data.draw(st.integers(1, 255))
        touched.add(_frame_of(place, frames))
    cut = data.draw(st.integers(0, len(whole)))
    damaged = damaged[:cut]
    ends = [sum(map(len, frames[: index + 1])) for index in range(len(frames))]
    intact = [each for index, each in enumerate(records) if index not in touched and ends[index] <= cut]

    found = list(read_frames(bytes(damaged), 0, True))

    read = [each.record for each in found if isinstance(each, Intact)]
    assert read == [each for each in records if each in read], "only what was written, in its order"
    assert all(each in read for each in intact), "and all that is intact"
    assert [each.start for each in found] == [0, *(each.end for each in found)][: len(found)], "no gaps"
    assert not found or found[-1].end == cut
    assert_no_damage_neighbours_damage(found)


def _frame_of(place, frames):
    for index, each in enumerate(frames):
        place -= len(each)
        if place < 0:
            return index
    raise AssertionError


def assert_no_damage_neighbours_damage(found):
    assert not any(isinstance(one, Damaged) and isinstance(next_one, Damaged) for one, next_one in pairwise(found))


@given(st.binary(max_size=200))
def test_foreign_bytes_are_one_piece_of_damage_and_never_a_record(noise):
    assert list(read_frames(noise, 0, True)) == ([Damaged(0, len(noise))] if noise else [])


PIECES = st.lists(
    st.one_of(
        st.just(frame(record())),
        st.just(frame(record())[:-1]),
        st.just(MAGIC),
        st.sampled_from([MAGIC[:1], MAGIC[:3]]),
        st.builds(HEADER.pack, st.just(MAGIC), st.integers(0, 70_000), st.just(0)),
        st.binary(max_size=20),
    ),
    max_size=12,
)


@given(PIECES, st.booleans())
@settings(max_examples=300)
def test_damage_is_one_piece_up_to_the_next_frame_however_much_in_it_looks_like_one(pieces, is_complete):
    whole = b"".join(pieces)
    found = list(read_frames(whole, 7, is_complete))
    assert_no_damage_neighbours_damage(found)
    assert [each.start for each in found] == [7, *(each.end for each in found)][: len(found)], "no gaps"
    read = found[-1].end - 7 if found else 0
    assert read == len(whole) or not is_complete
    rest = list(read_frames(whole[read:], 7 + read, True))
    assert [each for each in found + rest if isinstance(each, Intact)] == [
        each for each in read_frames(whole, 7, True) if isinstance(each, Intact)
    ], "what was not there yet is read with the rest"


def test_a_frame_cut_short_is_not_there_yet_while_its_owner_lives():
    whole = frame(record())
    for cut in range(1, len(whole)):
        assert list(read_frames(whole[:cut], 0, False)) == []
        assert list(read_frames(whole[:cut], 0, True)) == [Damaged(0, cut)]


def test_records_of_all_threads_are_in_the_file(tmp_path):
    spool = Spool(tmp_path)
    threads = [threading.Thread(target=lambda: [spool.append(record(n)) for n in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spool.close()
    assert len(records_in(tmp_path)) == 800


def test_a_full_segment_is_sealed_and_a_new_one_begun(tmp_path):
    spool = Spool(tmp_path, segment_bytes=1000)
    for number in range(30):
        spool.append(record(number))
    spool.close()
    assert len(list(tmp_path.glob("*.spool"))) > 2
    assert len(records_in(tmp_path)) == 30


def test_a_file_is_owned_until_it_is_sealed(tmp_path):
    spool = Spool(tmp_path)
    (path,) = tmp_path.glob("*.spool")
    descriptor = os.open(path, os.O_RDONLY)
    assert is_owned(descriptor)
    spool.close()
    assert not is_owned(descriptor)
    os.close(descriptor)


def test_a_file_that_may_not_grow_is_left_as_it_was_and_the_append_refused(tmp_path):
    spool = Spool(tmp_path)
    spool.append(record(1))
    (path,) = tmp_path.glob("*.spool")
    size = path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
    try:
        with pytest.raises(SpoolFull):
            spool.append(record(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.stat().st_size == size
    spool.append(record(3))
    spool.close()
    assert len(records_in(tmp_path)) == 2


def test_records_of_one_batch_are_in_the_file_all_or_none(tmp_path):
    spool = Spool(tmp_path)
    batch = [record(number) for number in range(100)]
    spool.append_all(batch)
    (path,) = tmp_path.glob("*.spool")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, hard))
    try:
        with pytest.raises(SpoolFull):
            spool.append_all(batch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    spool.close()
    assert records_in(tmp_path) == batch


def test_half_a_frame_is_taken_back_and_its_record_goes_to_another_file(tmp_path):
    spool = Spool(tmp_path)
    spool.append(record(1))
    (path,) = tmp_path.glob("*.spool")
    size = path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, hard))
    try:
        spool.append(record(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    spool.close()
    assert path.stat().st_size == size
    assert len(records_in(tmp_path)) == 2


@pytest.mark.parametrize("sync", ["50ms", "always"])
def test_a_file_that_cannot_be_synced_is_dead_and_its_records_are_written_again(tmp_path, monkeypatch, sync):
    spool = Spool(tmp_path, sync)
    failures = [1]
    real = os.fdatasync

    def fail_once(descriptor):
        if failures:
            failures.pop()
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(spool_module.os, "fdatasync", fail_once)
    spool.append(record(1))
    deadline = time.monotonic() + 10
    while len(list(tmp_path.glob("*.spool"))) < 2:
        assert time.monotonic() < deadline
    spool.append(record(2))
    spool.close()
    by_file = [
        {found.record.id for found in read_frames(path.read_bytes(), 0, True) if isinstance(found, Intact)}
        for path in tmp_path.glob("*.spool")
    ]
    assert sorted(map(len, by_file)) == [1, 2]
    assert min(by_file, key=len) < max(by_file, key=len), "the new file has all of the dead one"


def test_a_lock_is_not_inherited_by_a_reader(tmp_path):
    spool = Spool(tmp_path)
    (path,) = tmp_path.glob("*.spool")
    with path.open("rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    spool.close()


@contextmanager
def no_file_grows_beyond(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_torn_write_that_cannot_be_cut_off_costs_no_record_that_was_acknowledged_after_it(tmp_path, monkeypatch):
    def refuse(descriptor, size):
        raise OSError(errno.EIO, "Input/output error")

    spool = Spool(tmp_path)
    before, after = record(1), record(3)
    spool.append(before)
    (path,) = tmp_path.glob("*.spool")
    too_long = record(2, "/" + 4000 * "a")  # no other file takes it either
    monkeypatch.setattr(spool_module.os, "ftruncate", refuse)
    with no_file_grows_beyond(path.stat().st_size + 10), pytest.raises(SpoolFull):
        spool.append(too_long)
    monkeypatch.undo()
    spool.append(after)
    with no_file_grows_beyond(path.stat().st_size + 10), pytest.raises(SpoolFull):
        spool.append(too_long)
    spool.close()
    assert list(tmp_path.glob("*.spool")) == [path], "all of it happened to one file"
    assert records_in(tmp_path) == [before, after]
