"""More keys than may be in memory: the answers are the same, a revoke is as final, and the database is asked rarely."""

import hashlib
import threading
from collections.abc import Iterator

import msgspec
import psycopg
import pytest
from django.utils import timezone

from apiauth.core import ids
from apiauth.core.secrets import mint
from apiauth.models import Key
from apiauth.verify import resident
from apiauth.verify.look_ups import Heard
from apiauth.verify.presence import Presence
from apiauth.verify.tables import Tables
from tests.support.database import dsn
from tests.support.gateways import GatewayInProcess
from tests.support.running import until

pytestmark = pytest.mark.django_db(transaction=True)
MOST = 4


@pytest.fixture
def reader(transactional_db) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn(), autocommit=True) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection


@pytest.fixture
def secrets(make_key):
    return [make_key(f"key {number}").secret.text for number in range(3 * MOST)]


@pytest.fixture
def gateway(secrets, tmp_path):
    gateway = GatewayInProcess(tmp_path, most_keys=MOST)
    yield gateway
    gateway.close()


@pytest.fixture
def fetched(gateway, monkeypatch):
    """The queries for keys by digest, each with how many digests it asked for."""
    queries = []
    fetch = Tables.fetch
    monkeypatch.setattr(Tables, "fetch", lambda tables, *given: queries.append(len(given[1])) or fetch(tables, *given))
    return queries


def in_threads(count, work):
    """Run `work` in so many threads that all begin together; return what they returned."""
    together = threading.Barrier(count)
    answers = []
    threads = [threading.Thread(target=lambda: (together.wait(), answers.append(work()))) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def keys_of(gateway):
    return gateway.snapshot.tables.keys


def test_every_key_is_known_and_no_more_are_kept_than_may_be(gateway, secrets):
    for secret in [*secrets, *reversed(secrets), *secrets]:
        assert gateway.check(secret)[0] == 200
        assert len(keys_of(gateway)) <= MOST
    assert gateway.check(mint("nw_live"))[0] == 401


def test_keys_that_outgrow_the_memory_while_it_runs_are_known_all_the_same(make_key, tmp_path, request):
    secrets = [make_key(f"key {number}").secret.text for number in range(MOST)]
    gateway = GatewayInProcess(tmp_path, most_keys=MOST)
    request.addfinalizer(gateway.close)
    assert keys_of(gateway).is_complete
    secrets += [make_key(f"late key {number}").secret.text for number in range(MOST)]
    until(lambda: not keys_of(gateway).is_complete, 10, "the gateway has heard of more keys than it may keep")
    for secret in [*secrets, *reversed(secrets), *secrets]:
        assert gateway.check(secret)[0] == 200
        assert len(keys_of(gateway)) <= MOST


def test_health_tells_that_not_all_keys_are_in_memory(gateway, secrets):
    keys = gateway.call(b"", path="/health", method="GET")[2]["keys"]
    assert keys == {"resident": MOST // 2, "total": len(secrets), "mode": "recent"}


def test_keys_in_use_stay_while_others_come_and_go(gateway, secrets, fetched):
    hot, *others = secrets
    gateway.check(hot)
    fetched.clear()
    for secret in others:
        gateway.check(secret)
        gateway.check(hot)
    assert len(fetched) == len(others), "none was for the key in use, and each other one took one query"


def test_a_batch_of_more_keys_than_may_stay_takes_one_query(gateway, secrets, fetched):
    wanted = [[digest(secret) for digest in gateway.checker._digests] for secret in secrets]
    looked_up = gateway.listener.look_up(wanted)
    assert looked_up.heard is Heard.NOW
    assert set(looked_up.keys) == {digest for digests in wanted for digest in digests}
    assert len(fetched) == 1


def test_many_checks_of_one_key_at_once_take_one_query(gateway, secrets, fetched):
    assert in_threads(16, lambda: gateway.check(secrets[0])[0]) == [200] * 16
    assert fetched == [1]


@pytest.fixture
def undecided(monkeypatch):
    """Every digest may be a key's, as one in two hundred strangers' may."""
    monkeypatch.setattr(Presence, "may_have", lambda presence, digest: True)


def test_an_unknown_key_is_not_even_asked_for(gateway, fetched):
    assert {gateway.check(mint("nw_live"))[0] for _ in range(50)} == {401}
    assert fetched == []


def test_an_unknown_key_that_may_be_one_is_asked_for_once(gateway, fetched, undecided):
    stranger = mint("nw_live")
    assert {gateway.check(stranger)[0] for _ in range(50)} == {401}
    assert fetched == [1]


@pytest.mark.parametrize("is_undecided", [False, True], ids=["as a stranger", "as one that may be a key"])
def test_a_key_that_was_asked_for_before_it_was_made_works_at_once(gateway, is_undecided, request):
    if is_undecided:
        request.getfixturevalue("undecided")
    to_come = mint("nw_live")
    assert gateway.check(to_come)[0] == 401
    row = Key.objects.first()
    row.id = row.lineage_id = ids.new_id()
    row.digest = gateway.checker._digests[0](to_come)
    row.save(force_insert=True)
    assert gateway.check(to_come)[0] == 200


def test_what_is_remembered_of_unknown_keys_is_bounded(monkeypatch, undecided):
    monkeypatch.setattr(resident, "MOST_ABSENT", 10)
    keys = resident.ResidentKeys(MOST)
    for number in range(1000):
        keys.note_absent([number.to_bytes(32)])
    assert not keys.are_absent([(0).to_bytes(32)])
    assert keys.are_absent([(999).to_bytes(32)])
    assert sum(keys.are_absent([number.to_bytes(32)]) for number in range(1000)) <= 10


def test_what_is_remembered_of_an_unknown_key_ends(monkeypatch, undecided):
    keys = resident.ResidentKeys(MOST)
    keys.note_absent([b"a"])
    keys.tidy(1)
    assert keys.are_absent([b"a"])
    monkeypatch.setattr(resident, "ABSENT_SECONDS", 0)
    keys.tidy(1)
    keys.tidy(1)
    assert not keys.are_absent([b"a"])


def flood(gateway):
    """Return the statuses of 800 checks of as many unknown keys, eight at a time."""
    return set().union(*in_threads(8, lambda: {gateway.check(mint("nw_live"))[0] for _ in range(100)}))


def test_a_flood_of_unknown_keys_takes_no_queries_and_none_for_known_keys(gateway, secrets, fetched):
    known = secrets[0]
    assert gateway.check(known)[0] == 200
    fetched.clear()
    assert flood(gateway) == {401}
    assert gateway.check(known)[0] == 200
    assert fetched == []


def test_what_has_to_be_asked_for_is_asked_for_together(gateway, fetched, undecided):
    assert flood(gateway) == {401}
    assert sum(fetched) == 800, "each stranger is asked for once"
    assert len(fetched) < 800, "and several together"


def test_one_stranger_in_two_hundred_may_be_a_key_and_every_key_may():
    presence = Presence(1_000)
    digests = [hashlib.sha256(b"%d" % number).digest() for number in range(41_000)]
    for digest in digests[:1_000]:
        presence.add(digest)
    assert all(presence.may_have(digest) for digest in digests[:1_000])
    assert sum(presence.may_have(digest) for digest in digests[1_000:]) < 200


def revoked(key_id):
    Key.objects.filter(id=key_id).update(revoked_at=timezone.now())


def test_a_revoke_of_a_key_that_is_not_in_memory_is_final(gateway, secrets):
    oldest = Key.objects.order_by("id").first()
    secret = secrets[0]
    assert keys_of(gateway).known(oldest.id) is None
    revoked(oldest.id)
    status, answer = gateway.check(secret)
    assert (status, answer["rule"]) == (401, "key_revoked")


def test_a_change_that_lands_during_a_look_up_is_never_undone(make_key, reader, monkeypatch):
    """The look-up holds the old row in its hand while another connection commits the revoke."""
    issued = [make_key(f"key {number}") for number in range(3 * MOST)]
    tables = Tables(MOST)
    tables.catch_up(reader)
    key = issued[0].key
    digest = bytes(Key.objects.get(id=key.id).digest)
    at_put, is_changed = threading.Barrier(2), threading.Barrier(2)
    put = resident.ResidentKeys.put

    def put_late(keys, row):
        at_put.wait(10)
        is_changed.wait(10)
        put(keys, row)

    monkeypatch.setattr(resident.ResidentKeys, "put", put_late)
    fetching = threading.Thread(target=lambda: tables.fetch(reader, [digest]))
    fetching.start()
    at_put.wait(10)
    with psycopg.connect(dsn(), autocommit=True) as other:
        other.execute("UPDATE apiauth_key SET revoked_at = now() WHERE id = %s", [key.id])
    is_changed.wait(10)
    fetching.join()
    monkeypatch.undo()
    assert not tables.keys.known(key.id).is_revoked, "the old row was read"
    tables.catch_up(reader)
    assert tables.keys.known(key.id).is_revoked


def test_a_change_that_meets_a_check_which_moves_its_key_is_never_undone(secrets, reader, monkeypatch):
    """A check would move the old row at the very moment at which the new one takes its place; it has to wait."""
    tables = Tables(4 * MOST)
    tables.catch_up(reader)
    keys = resident.ResidentKeys(MOST)
    for row in tables.keys.recent.values():
        keys.put(row)
    assert len(keys) == MOST
    old = next(row for row in tables.keys.recent.values() if keys.known(row.id) and row.digest not in keys.recent)
    put = resident._Generation.put
    movers = []

    def put_while_a_check_moves_it(generation, row):
        if not movers:
            movers.append(threading.Thread(target=lambda: keys.find([[row.digest]])))
            movers[0].start()
            movers[0].join(0.1)
        put(generation, row)

    monkeypatch.setattr(resident._Generation, "put", put_while_a_check_moves_it)
    keys.put(msgspec.structs.replace(old, is_revoked=True))
    movers[0].join()
    assert keys.recent[old.digest].is_revoked


def test_a_revoke_that_is_read_while_a_check_moves_its_key_is_final(secrets, reader, monkeypatch):
    """In the midst of the move the key is in neither generation: the poll has to wait until it is somewhere again."""
    tables = Tables(MOST)
    tables.catch_up(reader)
    old = next(iter(tables.keys.recent.values()))
    unread = Key.objects.order_by("id").values_list("digest", flat=True)[: MOST // 2]
    tables.fetch(reader, [bytes(digest) for digest in unread])
    assert tables.keys.known(old.id)
    assert old.digest not in tables.keys.recent, "the next check of it moves it"
    revoked(old.id)
    known, make_room = resident.ResidentKeys.known, resident.ResidentKeys._make_room
    asked = threading.Event()
    poll = threading.Thread(target=tables.catch_up, args=[reader])

    def make_room_while_a_poll_asks(keys):
        if poll.ident is None:
            poll.start()
            assert asked.wait(10)
            poll.join(0.1)
        make_room(keys)

    monkeypatch.setattr(resident.ResidentKeys, "known", lambda keys, key_id: asked.set() or known(keys, key_id))
    monkeypatch.setattr(resident.ResidentKeys, "_make_room", make_room_while_a_poll_asks)
    tables.keys.find([[old.digest]])
    poll.join()
    assert tables.keys.known(old.id).is_revoked
