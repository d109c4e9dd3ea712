"""Decisions reach the table once each, whatever is killed, torn or refused on the way."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from apiauth.audit import search, series, worker
from apiauth.audit.drain import Drain
from apiauth.audit.partitions import drop_partitions, ensure_partitions
from apiauth.audit.record import Record, frame, frame_payload, new_decision_number
from apiauth.audit.spool import Spool
from apiauth.audit.statements import sql
from apiauth.core import clock
from apiauth.core.errors import Invalid
from apiauth.models import KeyUsage
from tests.support.database import dsn
from tests.support.oracle import RECOUNTED, sum_of

pytestmark = pytest.mark.django_db(transaction=True)
APP, KEY, DEPLOYMENT = 11, 22, 33


def record(**fields) -> Record:
    moment = fields.pop("moment", None) or clock.now()
    values = {
        "id": new_decision_number(clock.to_ms(moment)).to_bytes(16, "big"),
        "deployment_id": DEPLOYMENT,
        "app_id": APP,
        "key_id": KEY,
        "key_name": "ci",
        "presented_start": None,
        "limits": ["60/60s"],
        "rule": None,
        "blocked_by": None,
        "method": "GET",
        "path": "/v1/a",
        "client_ip": "203.0.113.9",
        "peer_ip": "127.0.0.1",
        "user_agent": "x/1",
        "required_permissions": ["read:x"],
        "held_permissions": None,
        "left": [59],
        "retry_after": None,
        "snapshot_age_ms": 12,
        "duration_us": 30,
        "node": "host",
    }
    return Record(**{**values, **fields})


def count(connection) -> int:
    return connection.execute("SELECT count(*) FROM apiauth_decision").fetchone()[0]


def recorded(connection) -> list[bytes]:
    """Return the id of every record that is there, in order: one that stands twice is there twice."""
    return sorted(row[0].bytes for row in connection.execute("SELECT id FROM apiauth_decision"))


def written(records) -> list[bytes]:
    """Return the ids of records, in the same order."""
    return sorted(each.id for each in records)


def counted(connection) -> set[int]:
    """Return the sum of every count: all are the same where each record has an app and a key."""
    return {sum_of(connection, counts) for counts in RECOUNTED}


def write(folder, records, *extra: bytes) -> None:
    spool = Spool(folder)
    for each in records:
        spool.append(each)
    spool.close()
    if extra:
        (path,) = folder.glob("*.spool")
        with path.open("ab") as file:
            file.write(b"".join(extra))


def test_every_column_arrives_as_it_was_recorded(connection, tmp_path):
    odd = record(
        rule="permission_denied", blocked_by="permission_denied", path="/ü\\n\t\u2028'\"", user_agent="{a,b}\r\n\\N",
        held_permissions=['a"b', "c\\d", ""], required_permissions=[], client_ip="2001:db8::1", peer_ip=None,
    )  # fmt: skip
    write(tmp_path, [odd])
    Drain(connection, tmp_path).drain_all()
    row = search.decisions(app_id=APP, filters=search.DecisionFilters()).rows[0]
    for name in ("rule", "path", "user_agent", "held_permissions", "required_permissions", "client_ip", "peer_ip"):
        assert getattr(row, name) == getattr(odd, name), name
    assert row.id.bytes == odd.id
    assert row.rate_limits == [{"rule": "60/60s", "remaining": 59, "limit": 60}]


def test_draining_twice_counts_once(connection, tmp_path):
    records = [record() for _ in range(50)]
    write(tmp_path, records)
    drain = Drain(connection, tmp_path)
    assert drain.drain_all() == 50
    write(tmp_path, records)
    drain.drain_all()
    assert recorded(connection) == written(records)
    assert counted(connection) == {50}


def test_the_last_use_of_a_key_has_its_moment_address_method_and_path_and_none_before_it(connection, tmp_path):
    moment = clock.now().replace(microsecond=0)
    use = {"method": "POST", "path": "/v1/b", "client_ip": "198.51.100.7", "rule": "permission_denied"}
    write(tmp_path, [record(moment=moment, **use), record(moment=moment - timedelta(minutes=1))])
    Drain(connection, tmp_path).drain_all()
    write(tmp_path, [record(moment=moment - timedelta(hours=1), path="/late")])
    Drain(connection, tmp_path).drain_all()
    usage = KeyUsage.objects.get(key_id=KEY)
    assert (usage.last_used_at, usage.client_ip, usage.method, usage.path, usage.allowed) == (
        moment, "198.51.100.7", "POST", "/v1/b", False,
    )  # fmt: skip


def test_a_drained_file_of_a_dead_owner_is_deleted_and_a_live_one_kept(connection, tmp_path):
    spool = Spool(tmp_path)
    spool.append(record())
    Drain(connection, tmp_path).drain_all()
    assert count(connection) == 1
    assert list(tmp_path.glob("*.spool"))
    spool.append(record())
    spool.close()
    Drain(connection, tmp_path).drain_all()
    assert count(connection) == 2
    assert not list(tmp_path.glob("*.spool"))


def test_damage_is_put_aside_and_what_is_behind_it_arrives(connection, tmp_path):
    torn = frame(record())[:-5]
    write(tmp_path, [record()], b"noise", torn, frame(record()), frame_payload(b"not a record"), frame(record()))
    Drain(connection, tmp_path).drain_all()
    assert count(connection) == 3
    assert list((tmp_path / "quarantine").iterdir())
    quarantined = connection.execute("SELECT quarantined FROM apiauth_spoolfile").fetchone()[0]
    assert quarantined >= 2


def test_a_record_that_the_database_refuses_stops_no_other(connection, tmp_path):
    write(tmp_path, [record(), record(client_ip="nonsense"), record(key_id=2**63), record()])
    drain = Drain(connection, tmp_path)
    for _ in range(10):
        drain.drain()
    assert count(connection) == 2
    assert len(list((tmp_path / "quarantine").iterdir())) == 2
    assert not list(tmp_path.glob("*.spool"))


def test_a_name_that_came_with_a_refused_batch_is_kept_with_the_next(connection, tmp_path):
    called, node = (f"{kind} {os.urandom(4).hex()}" for kind in ("key", "host"))
    names = {"key_name": called, "node": node}
    write(tmp_path, [record(**names), record(**names, client_ip="nonsense"), record(**names)])
    Drain(connection, tmp_path).drain_all()
    rows = search.decisions(app_id=APP).rows
    assert [(row.key_name, row.node) for row in rows] == [(called, node)] * 2
    assert connection.execute("SELECT count(*) FROM apiauth_recordedname WHERE text = %s", [called]).fetchone() == (1,)


def test_text_that_no_database_holds_is_replaced(connection, tmp_path):
    write(tmp_path, [record(user_agent="a\0b", path="/" + "é" * 5000)])
    Drain(connection, tmp_path).drain_all()
    agent, path = connection.execute("SELECT user_agent, path FROM apiauth_decision").fetchone()
    assert agent == "a\ufffdb"
    assert len(path) == 500


def drained_by(drains, folder):
    """Run drains beside each other, each over a connection of its own, until the folder is empty."""

    def work(make):
        with psycopg.connect(dsn(), autocommit=True) as own:
            drain = make(own)
            while any(folder.glob("*.spool")):
                drain.drain()

    with ThreadPoolExecutor(len(drains)) as pool:
        for done in [pool.submit(work, make) for make in drains]:
            done.result()


def test_three_workers_on_one_folder_double_nothing(connection, tmp_path):
    records = [record() for _ in range(1500)]
    for number in range(5):
        write(tmp_path, records[number::5])
    drained_by([lambda own: Drain(own, tmp_path, batch_bytes=2000)] * 3, tmp_path)
    assert recorded(connection) == written(records)
    assert counted(connection) == {1500}


@pytest.mark.parametrize("batch_bytes", [(2000, 2000, 2000), (1000, 2000, 3000)], ids=["same batches", "others"])
def test_workers_that_all_take_one_file_at_once_double_nothing(connection, tmp_path, batch_bytes):
    """As if no lock held: each reads the same offset before any of them goes on, for every batch."""
    all_have_read = threading.Barrier(3)
    turns = []

    class Lockless(Drain):
        def _lock(self, name):
            self._connection.execute(sql("note_file"), {"name": name, "host": "host"})
            known = "SELECT drained_bytes, quarantined FROM apiauth_spoolfile WHERE name = %s"
            begun = self._connection.execute(known, [name]).fetchone()
            with suppress(threading.BrokenBarrierError):  # one has found that nothing is left
                all_have_read.wait(20)
                turns.append(begun[0])
            return begun

        def drain(self):
            drained = super().drain()
            if not any(self._folder.glob("*.spool")):
                all_have_read.abort()  # this one comes no more
            return drained

    records = [record() for _ in range(500)]
    write(tmp_path, records)
    (path,) = tmp_path.glob("*.spool")
    connection.execute(sql("note_file"), {"name": path.name, "host": "host"})
    drained_by([lambda own, most=most: Lockless(own, tmp_path, most) for most in batch_bytes], tmp_path)
    assert len(turns) > 3 * 10, "they read the same offset again and again"
    assert recorded(connection) == written(records)
    assert counted(connection) == {500}


def test_the_worker_drains_until_it_is_told_to_stop(connection, tmp_path):
    write(tmp_path, [record() for _ in range(10)])
    stop, ready = threading.Event(), threading.Event()

    class Settings:
        direct_database_url = dsn()
        spool_dir = tmp_path
        keep_decisions_days = 0

    thread = threading.Thread(target=worker.run, args=(Settings(), stop, ready.set))
    thread.start()
    assert ready.wait(30)
    while list(tmp_path.glob("*.spool")):
        assert thread.is_alive()
    stop.set()
    thread.join()
    assert count(connection) == 10


def test_a_record_of_a_day_without_partition_is_kept_and_moves_when_there_is_one(connection, tmp_path, caplog):
    later = clock.now() + timedelta(days=40)
    records = [record(moment=later), record(), record(moment=later)]
    write(tmp_path, records)
    Drain(connection, tmp_path).drain_all()
    assert connection.execute("SELECT count(*) FROM apiauth_decision_default").fetchone()[0] == 2
    assert recorded(connection) == written(records)
    ensure_partitions(connection)
    assert "partitions.strays" in caplog.text
    ensure_partitions(connection, today=later.date())
    assert connection.execute("SELECT count(*) FROM apiauth_decision_default").fetchone()[0] == 0
    assert recorded(connection) == written(records)
    assert counted(connection) == {3}


def test_days_beyond_those_that_are_kept_go_whole_with_what_came_late(connection, tmp_path):
    today = datetime(2031, 5, 20, 12, tzinfo=UTC)
    for days_ago in (0, 9, 18):
        ensure_partitions(connection, today=(today - timedelta(days=days_ago)).date())
    moments = [today - timedelta(days=days) for days in (0, 5, 10, 11, 19, 40)]
    write(tmp_path, [record(moment=moment) for moment in moments])
    Drain(connection, tmp_path).drain_all()
    drop_partitions(connection, 0, today=today.date())
    assert count(connection) == 6
    drop_partitions(connection, 10, today=today.date())
    drop_partitions(connection, 10, today=today.date())
    kept = connection.execute("SELECT decided_at FROM apiauth_decision ORDER BY decided_at DESC").fetchall()
    assert [row[0] for row in kept] == moments[:3]
    assert counted(connection) == {6}


HOUR = datetime(2026, 11, 23, 10, tzinfo=UTC)


@pytest.fixture
def history(connection, tmp_path):
    """Three hours of decisions: two keys, two reasons, an hour with nothing."""
    rows = [record(moment=HOUR + timedelta(minutes=n), path=f"/v1/{n % 2}") for n in range(10)]
    rows += [record(moment=HOUR + timedelta(hours=2, minutes=n), key_id=23) for n in range(4)]
    rows += [record(moment=HOUR + timedelta(hours=2), rule="rate_limited", blocked_by="60/60s") for _ in range(3)]
    rows += [record(moment=HOUR, rule="key_unknown", blocked_by="key_unknown", key_id=None)]
    rows += [record(moment=HOUR, app_id=12, key_id=99)]
    write(tmp_path, rows)
    Drain(connection, tmp_path).drain_all()
    return {"start": HOUR, "end": HOUR + timedelta(hours=3)}


def test_totals_equal_a_recount_of_the_rows(connection, history):
    recount = connection.execute(
        "SELECT count(*) FILTER (WHERE allowed), count(*) FILTER (WHERE NOT allowed)"
        " FROM apiauth_decision WHERE app_id = %s",
        [APP],
    ).fetchone()
    totals = series.totals(app_id=APP, **history)
    assert (totals.allowed, totals.blocked) == recount == (14, 4)
    assert series.totals(app_id=APP, key_id=23, **history) == series.Totals(4, 0)


def test_a_timeline_has_its_empty_hours(history):
    points = series.timeline(app_id=APP, step="hour", **history)
    assert [(point.allowed, point.blocked) for point in points] == [(10, 1), (0, 0), (4, 3)]
    days = series.timeline(app_id=APP, step="day", **history)
    assert [(point.allowed, point.blocked) for point in days] == [(14, 4)]


def test_reasons_keys_and_paths_are_counted(history):
    assert series.blocked_reasons(app_id=APP, **history) == [
        series.Reason("rate_limited", "60/60s", 3), series.Reason("key_unknown", "key_unknown", 1),
    ]  # fmt: skip
    assert series.top_keys(app_id=APP, **history) == [series.KeyCount(KEY, 10, 3), series.KeyCount(23, 4, 0)]
    assert series.top_paths(app_id=APP, limit=1, **history) == [series.PathCount("GET /v1/a", 4, 4)]
    assert series.keys_used(app_id=APP, since=HOUR + timedelta(hours=2)) == 2


def test_pages_hold_every_row_once_and_newest_first(history):
    filters = search.DecisionFilters(**history)
    seen, cursor = [], None
    while True:
        page = search.decisions(app_id=APP, filters=filters, cursor=cursor, limit=5)
        seen += page.rows
        cursor = page.next_cursor
        if not page.has_more:
            break
    assert len({row.id for row in seen}) == len(seen) == 18
    assert [row.id for row in seen] == sorted((row.id for row in seen), reverse=True)


@pytest.mark.parametrize(
    ("filters", "rows"),
    [({"outcome": "blocked"}, 4), ({"outcome": "allowed"}, 14), ({"rule": "key_unknown"}, 1), ({"key_id": 23}, 4),
     ({"path_prefix": "/v1/1"}, 5), ({"path_prefix": "/v1/%"}, 0), ({"client_ip": "203.0.113.9"}, 18),
     ({"method": "POST"}, 0)],
)  # fmt: skip
def test_filters_keep_what_they_say(history, filters, rows):
    found = search.decisions(app_id=APP, filters=search.DecisionFilters(**history, **filters), limit=50)
    assert len(found.rows) == rows


def test_a_decision_is_found_by_its_request_id_in_its_own_app_alone(history):
    row = search.decisions(app_id=APP, filters=search.DecisionFilters(**history), limit=1).rows[0]
    assert search.find_decision(app_id=APP, request_id=row.request_id) == row
    assert search.find_decision(app_id=12, request_id=row.request_id) is None
    assert search.find_decision(app_id=APP, request_id="req_" + "f" * 32) is None
    assert search.find_decision(app_id=APP, request_id="nonsense") is None


def test_a_cursor_of_another_app_or_list_is_refused(history):
    filters = search.DecisionFilters(**history)
    cursor = search.decisions(app_id=APP, filters=filters, limit=1).next_cursor
    other_list = search.DecisionFilters(key_id=1, **history)
    attempts = [(12, filters, cursor), (APP, other_list, cursor), (APP, filters, "forged")]
    attempts += [(APP, filters, cursor[:-1] + "?"), (APP, filters, "")]
    for app_id, other, text in attempts:
        with pytest.raises(Invalid):
            search.decisions(app_id=app_id, filters=other, cursor=text)


def test_no_file_is_left_open_by_a_drain(connection, tmp_path):
    write(tmp_path, [record()])
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        Drain(connection, tmp_path).drain()
    assert len(os.listdir("/proc/self/fd")) == before
