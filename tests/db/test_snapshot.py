"""The snapshot says what the database says, whatever order its transactions end in."""

import base64
import threading
from functools import partial

import psycopg
import pytest
from django.conf import settings
from django.db import connection as django_connection

from apiauth.core import clock
from apiauth.core.secrets import Peppers
from apiauth.models import GatewayStatus, Key
from apiauth.services import apps, installation, keys, limits, propagation
from apiauth.verify.history import NotedByNobody, identify
from apiauth.verify.listener import Listener, _connect
from apiauth.verify.look_ups import Heard
from apiauth.verify.peppers import require_peppers
from apiauth.verify.snapshot import Snapshot
from apiauth.verify.tables import AnotherEpoch, Tables
from config import env
from tests.conftest import ACTOR
from tests.support.database import dsn
from tests.support.running import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def reader(transactional_db):
    with psycopg.connect(dsn(), autocommit=True) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection


def test_a_transaction_that_commits_late_is_not_skipped(app, make_key, reader):
    first, second = make_key("first").key, make_key("second").key
    tables = Tables()
    tables.catch_up(reader)
    rename = "UPDATE apiauth_key SET name = 'renamed' WHERE id = %s"
    with psycopg.connect(dsn()) as early, psycopg.connect(dsn()) as late:
        early.execute(rename, [first.id])
        late.execute(rename, [second.id])
        late.commit()
        assert tables.catch_up(reader) == 1
        early.commit()
        assert tables.catch_up(reader) == 1
    assert {key.name for key in tables.keys.recent.values()} == {"renamed"}
    assert tables.catch_up(reader) == 0


def test_no_poll_reads_all_keys_however_often_it_was_asked(app, make_key, transactional_db):
    """A statement that is repeated gets a plan for any horizon after some time, unless that is forbidden."""
    key = make_key().key
    copies = [Key.objects.get(id=key.id) for _ in range(3_000)]
    for number, copy in enumerate(copies, 1):
        copy.id, copy.lineage_id, copy.digest = key.id + number, key.id + number, number.to_bytes(32)
    Key.objects.bulk_create(copies)
    with _connect(dsn()) as connection, psycopg.connect(dsn(), autocommit=True) as other:
        other.execute("ANALYZE apiauth_key")
        tables = Tables()
        tables.catch_up(connection)
        before = _rows_read_in_full(connection)
        for turn in range(20):
            other.execute("UPDATE apiauth_key SET note = %s WHERE id = %s", [str(turn), key.id])
            assert tables.catch_up(connection) == 1
            assert tables.catch_up(connection) == 0
        assert _rows_read_in_full(connection) == before


def _rows_read_in_full(connection):
    connection.execute("SELECT pg_stat_force_next_flush()")
    read = "SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'apiauth_key'"
    return connection.execute(read).fetchone()[0]


def test_what_is_rolled_back_never_shows(app, make_key, reader):
    key = make_key("kept").key
    tables = Tables()
    with psycopg.connect(dsn()) as other:
        other.execute("UPDATE apiauth_key SET name = 'lost' WHERE id = %s", [key.id])
        tables.catch_up(reader)
        other.rollback()
    tables.catch_up(reader)
    assert [key.name for key in tables.keys.recent.values()] == ["kept"]


def test_a_change_of_limits_reaches_the_apps_that_use_them(app, deployment, reader):
    tables = Tables()
    tables.catch_up(reader)
    assert tables.apps[app.id].rules[0].text == "1000/60s"
    rule = {"unit": "minute", "duration": 1, "max_requests": 5}
    limits.create_scheme(deployment_id=deployment.id, slug="s", name="S", rules=[rule], actor=ACTOR, now=clock.now())
    changes = {"rate_limit_scheme_slug": "s"}
    apps.update_app(deployment_id=deployment.id, slug=app.slug, changes=changes, actor=ACTOR, now=clock.now())
    tables.catch_up(reader)
    assert tables.apps[app.id].rules[0].text == "5/60s"
    limits.update_scheme(
        deployment_id=deployment.id,
        slug="s",
        changes={"rules": [{**rule, "max_requests": 6}]},
        actor=ACTOR,
        now=clock.now(),
    )
    tables.catch_up(reader)
    assert tables.apps[app.id].rules[0].text == "6/60s"


def test_a_key_digested_anew_is_not_found_by_its_old_digest(app, make_key, reader):
    key = make_key().key
    tables = Tables()
    tables.catch_up(reader)
    Key.objects.filter(id=key.id).update(digest=b"n" * 32, pepper_version=key.pepper_version + 1)
    tables.catch_up(reader)
    assert list(tables.keys.recent) == [b"n" * 32]


@pytest.fixture
def listener(transactional_db):
    listener = Listener(dsn(), Snapshot(), settings.ENVIRONMENT.peppers)
    listener.start()
    assert listener.loaded.wait(10)
    yield listener
    listener.stop()


def _wait_for(condition, seconds=10):
    deadline = clock.now_ms() + seconds * 1000
    while not condition():
        assert clock.now_ms() < deadline


def test_the_listener_says_which_changes_it_has_taken_in(app, make_key, listener):
    make_key()
    with django_connection.cursor() as cursor:
        cursor.execute("SELECT max(change_xid)::text::bigint FROM apiauth_key")
        (changed,) = cursor.fetchone()

        def acknowledged():
            cursor.execute(
                "SELECT generation FROM apiauth_gatewaystatus WHERE incarnation = %s", [listener.incarnation]
            )
            row = cursor.fetchone()
            return row is not None and row[0] > changed

        _wait_for(acknowledged)


def test_a_killed_connection_is_made_again_and_what_changed_meanwhile_is_there(app, make_key, listener):
    key = make_key().key
    with django_connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'keystead-gateway'"
        )
    Key.objects.update(name="changed meanwhile")
    tables = listener._snapshot.tables
    digest = Key.objects.get(id=key.id).digest
    _wait_for(
        lambda: bytes(digest) in tables.keys.recent and tables.keys.recent[bytes(digest)].name == "changed meanwhile"
    )


def _emptied(listener):
    return not listener._snapshot.tables.keys


def test_emptied_tables_are_emptied_in_memory_too(make_key, listener):
    make_key()
    until(lambda: listener._snapshot.tables.keys, 10, "the key is known")
    with django_connection.cursor() as cursor:
        cursor.execute("TRUNCATE apiauth_key CASCADE")
    until(lambda: _emptied(listener), 10, "the gateway knows no key")


def _restored_elsewhere(cursor, change_xid):
    """Make the database look as a dump of another one that is restored here."""
    cursor.execute("ALTER TABLE apiauth_key DISABLE TRIGGER stamp_change")
    cursor.execute("UPDATE apiauth_key SET change_xid = %s::text::xid8", [change_xid])
    cursor.execute("ALTER TABLE apiauth_key ENABLE TRIGGER stamp_change")
    cursor.execute("UPDATE apiauth_history SET identity = 'another cluster'")


def test_a_restored_database_is_not_trusted_before_its_new_history_is_noted(make_key, reader, caplog):
    make_key()
    with django_connection.cursor() as cursor:
        cursor.execute("SELECT keystead_epoch()")
        (before,) = cursor.fetchone()
        _restored_elsewhere(cursor, 10**9)
    with pytest.raises(NotedByNobody):
        identify(reader)
    assert installation.note_history()
    assert not installation.note_history(), "once is enough"
    identify(reader)
    tables = Tables()
    tables.catch_up(reader)
    assert tables.epoch == before + 1
    assert len(tables.keys) == 1


def test_a_dump_restored_into_its_own_database_is_another_history(make_key, transactional_db):
    make_key()
    tables = Tables()
    with psycopg.connect(dsn()) as owner:
        tables.catch_up(owner)
        before = identify(owner)
        owner.execute("ALTER TABLE apiauth_key RENAME TO dropped")
        owner.execute("CREATE TABLE apiauth_key AS SELECT * FROM dropped")  # as `pg_restore --clean` makes it anew
        assert identify(owner) != before
        with pytest.raises(AnotherEpoch):
            tables.catch_up(owner)
        owner.rollback()


def test_a_new_history_makes_running_gateways_read_everything_anew(make_key, listener):
    make_key()
    first = listener._snapshot.tables
    with django_connection.cursor() as cursor:
        cursor.execute("UPDATE apiauth_history SET identity = 'before the failover'")
        until(lambda: listener._snapshot.tables is not first, 10, "other tables are in force")
    until(lambda: listener._snapshot.tables.keys, 10, "the key is known")
    second = listener._snapshot.tables
    assert second.epoch == first.epoch + 1
    installation.note_history()
    listener.look_up()
    assert listener._snapshot.tables is second, "writing it down begins no other epoch"


class _Watched(Snapshot):
    """Carries something out at the last moment before its tables are answered by."""

    def __init__(self, before):
        super().__init__()
        self.before = before

    def put(self, tables, confirmed_at):
        self.before(tables)
        super().put(tables, confirmed_at)


class _NotYetListed(Listener):
    """Carries something out at the last moment before changes are waited for until it has them."""

    before = None

    def _acknowledge(self, connection, tables):
        if self.before and not self.loaded.is_set():
            self.before()
        super()._acknowledge(connection, tables)


@pytest.fixture
def revoke(make_key):
    """Revoke a key, and note what whoever waits for every gateway is told at that moment."""
    key = make_key().key
    GatewayStatus.objects.all().delete()

    def revoke():
        end = partial(keys.revoke_key, app_id=key.app_id, key_id=key.pk, actor=ACTOR, now=clock.now())
        _, change = propagation.carry_out(end)
        revoke.told.append(propagation.progress(change))
        django_connection.close()  # of the listener's thread

    revoke.told = []
    return revoke


def load(listener):
    listener.start()
    try:
        assert listener.loaded.wait(10)
    finally:
        listener.stop()


def test_a_gateway_is_waited_for_before_it_answers_by_what_it_has_read(revoke):
    load(Listener(dsn(), _Watched(lambda tables: revoke()), settings.ENVIRONMENT.peppers))
    assert revoke.told == [propagation.Propagation(acknowledged=0, live=1)]


def test_a_gateway_knows_what_was_committed_before_it_was_waited_for(revoke):
    known = []
    snapshot = _Watched(lambda tables: known.extend(key.is_revoked for key in tables.keys.recent.values()))
    listener = _NotYetListed(dsn(), snapshot, settings.ENVIRONMENT.peppers)
    listener.before = revoke
    load(listener)
    assert revoke.told == [propagation.Propagation(acknowledged=0, live=0)]
    assert known == [True]


def test_a_look_up_is_bounded(listener):
    assert sum(listener.look_up().heard is Heard.NOW for _ in range(200)) < 60


def test_the_snapshot_needs_no_superuser(app, make_key, transactional_db):
    make_key()
    with django_connection.cursor() as cursor:
        cursor.execute("DROP OWNED BY reader CASCADE" if _role_exists(cursor) else "SELECT 1")
        cursor.execute("DROP ROLE IF EXISTS reader")
        cursor.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
        cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
        cursor.execute("GRANT INSERT, UPDATE, DELETE ON apiauth_gatewaystatus TO reader")
    snapshot = Snapshot()
    listener = Listener(
        psycopg.conninfo.make_conninfo(dsn(), user="reader", password="reader"), snapshot, settings.ENVIRONMENT.peppers
    )
    listener.start()
    loaded = listener.loaded.wait(10)
    listener.stop()
    with django_connection.cursor() as cursor:
        cursor.execute("DROP OWNED BY reader CASCADE")
        cursor.execute("DROP ROLE reader")
    assert loaded
    assert len(snapshot.tables.keys) == 1


def _role_exists(cursor):
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = 'reader'")
    return cursor.fetchone() is not None


@pytest.mark.parametrize(
    ("peppers", "complaint"),
    [
        (Peppers({1: b"another pepper of 32 bytes, at least"}, 1), "another one"),
        (Peppers({2: b"a successor without its predecessor.."}, 2), "is missing"),
    ],
    ids=["another pepper", "a pepper lost"],
)
def test_a_gateway_without_the_keys_pepper_never_gets_ready(make_key, caplog, peppers, complaint):
    make_key()
    installation.remember_peppers(now=clock.now())
    snapshot = Snapshot()
    listener = Listener(dsn(), snapshot, peppers)
    listener.start()
    try:
        until(lambda: complaint in caplog.text, 10, "the log says what is wrong")
        assert not snapshot.is_loaded
        assert not listener.loaded.is_set()
    finally:
        listener.stop()


def test_a_new_pepper_beside_the_old_one_is_welcome(make_key, reader):
    make_key()
    installation.remember_peppers(now=clock.now())
    both = env.parse_peppers("9:" + base64.urlsafe_b64encode(b"9" * 32).decode() + "\n" + env.secret("PEPPERS"))
    require_peppers(reader, both)


@pytest.fixture
def other_epoch(make_key):
    """Return what begins another epoch of the database, in which the key is revoked, and tells which change it was."""
    make_key()
    GatewayStatus.objects.all().delete()

    def fail_over():
        Key.objects.update(revoked_at=clock.now())
        with django_connection.cursor() as cursor:
            cursor.execute("UPDATE apiauth_history SET epoch = epoch + 1")

    return lambda: propagation.carry_out(fail_over)[1]


def test_nobody_is_told_that_a_change_is_in_force_while_tables_of_the_old_epoch_still_answer(other_epoch, monkeypatch):
    monkeypatch.setattr("apiauth.verify.listener.ACKNOWLEDGE_SECONDS", 3600)  # new tables are told of at once
    at_hand, go_on = threading.Event(), threading.Event()
    snapshot = _Watched(lambda tables: None)
    listener = Listener(dsn(), snapshot, settings.ENVIRONMENT.peppers)
    listener.start()
    try:
        assert listener.loaded.wait(10)
        snapshot.before = lambda tables: (at_hand.set(), go_on.wait(10))
        change = other_epoch()
        assert at_hand.wait(10)
        assert [key.is_revoked for key in snapshot.tables.keys.recent.values()] == [False]
        assert propagation.progress(change) == propagation.Propagation(acknowledged=0, live=1)
        go_on.set()
        until(lambda: propagation.progress(change).is_complete, 10, "the gateway says that it has the change")
        assert [key.is_revoked for key in snapshot.tables.keys.recent.values()] == [True]
    finally:
        go_on.set()
        listener.stop()
