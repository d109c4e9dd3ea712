"""Whatever bytes lie in the spool, every intact record arrives, nothing else does, and the drain goes on."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from apiauth.audit import backlog
from apiauth.audit.drain import Drain
from apiauth.audit.record import LAST_MOMENT_MS, MAGIC, Intact, frame, read_frames
from apiauth.core import clock
from tests.db.test_drain import (
    counted,
    record,
    recorded,
    written,
)
from tests.support.database import DECISION_TABLES
from tests.support.processes import environment_in

LONG_NAME = f"{'long' * 60}.spool"
pytestmark = pytest.mark.django_db(transaction=True)

FILES = st.lists(
    st.lists(
        st.one_of(
            st.just("record"),
            st.binary(min_size=1, max_size=60),
            st.tuples(st.just("torn"), st.integers(1, 100)),
            st.tuples(st.just("flipped"), st.integers(0, 100), st.integers(1, 255)),
        ),
        max_size=6,
    ),
    max_size=3,
)


def bytes_of(piece):
    """Return a piece of a file, and the record in it that has to arrive."""
    if isinstance(piece, bytes):
        return piece, None
    whole = record()
    data = bytearray(frame(whole))
    if piece == "record":
        return bytes(data), whole
    if piece[0] == "torn":
        return bytes(data[: -piece[1]]), None
    data[piece[1]] ^= piece[2]
    return bytes(data), None


@given(FILES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_intact_record_arrives_and_nothing_else(connection, files):
    connection.execute(f"TRUNCATE {DECISION_TABLES}")
    wanted = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, pieces in enumerate(files):
            made = [bytes_of(piece) for piece in pieces]
            (folder / f"host-1-{number}.spool").write_bytes(b"".join(data for data, _ in made))
            wanted += [whole for _, whole in made if whole is not None]
        Drain(connection, folder, batch_bytes=300).drain_all()
        assert not list(folder.glob("*.spool"))
    assert recorded(connection) == written(wanted)
    assert counted(connection) == {len(wanted)}


def test_damage_that_looks_like_frames_is_put_aside_as_one_piece(connection, tmp_path):
    records = [record(), record()]
    (tmp_path / "a.spool").write_bytes(frame(records[0]) + MAGIC * 3000 + frame(records[1]))
    Drain(connection, tmp_path).drain_all()
    assert recorded(connection) == written(records)
    assert [path.read_bytes() for path in (tmp_path / "quarantine").iterdir()] == [MAGIC * 3000]


def leave_foreign_things(folder):
    """Put things into a spool folder that are no spool files though their names end as theirs; return the names."""
    os.mkfifo(folder / "pipe.spool")
    (folder / "folder.spool").mkdir()
    (folder / "link.spool").symlink_to("/etc/hostname")
    (folder / "broken-link.spool").symlink_to("nowhere")
    (folder / "loop.spool").symlink_to("loop.spool")
    (folder / LONG_NAME).write_bytes(b"noise")
    return ["broken-link.spool", "folder.spool", "link.spool", LONG_NAME, "loop.spool", "pipe.spool"]


def test_what_is_no_spool_file_stops_no_other(connection, tmp_path):
    foreign = leave_foreign_things(tmp_path)
    (tmp_path / "empty.spool").touch()
    odd = os.fsdecode(b"\xff\xfe name.spool")
    records = [record(), record()]
    (tmp_path / odd).write_bytes(frame(records[0]))
    (tmp_path / "plain.spool").write_bytes(frame(records[1]))
    drain = Drain(connection, tmp_path)
    drain.drain_all()
    assert recorded(connection) == written(records)
    assert sorted(path.name for path in tmp_path.glob("*.spool")) == foreign
    assert backlog.measure(tmp_path, {}, clock.now()).bytes == 0, "nothing that would wait for ever"


def test_what_is_no_spool_file_is_on_the_log_once_for_as_long_as_it_lies_there(connection, tmp_path):
    foreign = leave_foreign_things(tmp_path)
    drain = Drain(connection, tmp_path)
    with capture_logs() as lines:
        for _ in range(3):
            drain.drain()
    assert [(line["event"], line["file"]) for line in lines] == [("drain.not_a_spool_file", name) for name in foreign]
    (tmp_path / "pipe.spool").unlink()
    drain.drain()
    os.mkfifo(tmp_path / "pipe.spool")
    with capture_logs() as lines:
        drain.drain()
    assert [line["file"] for line in lines] == ["pipe.spool"]


def test_a_moment_beyond_every_calendar_is_damage(connection, tmp_path):
    beyond = record()
    late = (LAST_MOMENT_MS + 1).to_bytes(6, "big") + beyond.id[6:]
    last = LAST_MOMENT_MS.to_bytes(6, "big") + beyond.id[6:]
    frames = [frame(record(id=each)) for each in (late, last)]
    (tmp_path / "a.spool").write_bytes(b"".join(frames))
    Drain(connection, tmp_path).drain_all()
    assert recorded(connection) == [last]
    assert len(list((tmp_path / "quarantine").iterdir())) == 1


def test_a_record_that_the_database_refuses_costs_few_attempts(connection, tmp_path, monkeypatch):
    records = [record() for _ in range(2000)]
    records[1500] = record(client_ip="nonsense")
    (tmp_path / "a.spool").write_bytes(b"".join(map(frame, records)))
    attempts = []
    attempt = Drain._in_transaction
    monkeypatch.setattr(Drain, "_in_transaction", lambda *a, **k: attempts.append(1) or attempt(*a, **k))
    Drain(connection, tmp_path).drain_all()
    assert recorded(connection) == written(records[:1500] + records[1501:])
    assert len(attempts) < 150


APPEND = """
import pathlib, sys
sys.path.insert(0, ".")
from apiauth.audit.spool import Spool
from tests.db.test_drain import record
spool = Spool(pathlib.Path(sys.argv[1]), "always")
for _ in range(50):
    each = record()
    spool.append(each)
    print(each.id.hex(), flush=True)
"""


def cannot_trace(sentence: str) -> NoReturn:
    """Skip with a sentence, or fail where tracing is required."""
    if os.environ.get("KEYSTEAD_REQUIRE_STRACE"):
        pytest.fail(sentence)
    pytest.skip(sentence)  # not every machine has strace, or lets it trace; .ci/run requires it and leaves nothing out


@pytest.mark.processes
def test_records_of_a_file_that_the_disk_fails_to_sync_arrive_by_another_once_each(connection, tmp_path):
    script = f"import django; django.setup()\n{APPEND}"
    fail = ["strace", "-f", "-o", os.devnull, "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO:when=3+7"]
    try:
        ran = subprocess.run(
            [*fail, sys.executable, "-c", script, str(tmp_path)],
            env=environment_in(tmp_path), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    except FileNotFoundError:
        cannot_trace("strace is not installed")
    if "ptrace" in ran.stderr:
        cannot_trace("this machine does not let processes be traced")
    acknowledged = set(ran.stdout.split())
    assert len(acknowledged) == 50, ran.stderr
    assert len(list(tmp_path.glob("*.spool"))) > 2
    on_disk = [
        found.record.id.hex()
        for path in tmp_path.glob("*.spool")
        for found in read_frames(path.read_bytes(), 0, is_complete=True)
        if isinstance(found, Intact)
    ]
    assert len(on_disk) > len(set(on_disk)), "written again, for the disk may have lost it"
    Drain(connection, tmp_path).drain_all()
    assert recorded(connection) == sorted(map(bytes.fromhex, acknowledged))
    assert counted(connection) == {50}
