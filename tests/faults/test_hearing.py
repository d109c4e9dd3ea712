"""A gateway process that hears its database late, not at all, or not for a while: never an old yes past the bound.

Callers ask it throughout, and in the end what they heard is compared with what is recorded.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import psycopg
import pytest
from django.db import connection as django_connection
from django.utils import timezone

from apiauth.core.secrets import mint
from apiauth.models import Key
from config.env import REPOSITORY
from config.postgres import EmbeddedPostgres
from tests.support.database import dsn
from tests.support.gateway_process import GatewayProcess
from tests.support.oracle import calling
from tests.support.proxy import FreezingProxy
from tests.support.running import until
from tests.support.web import web_process

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes, pytest.mark.timeout(180)]

BOUND_SECONDS = 3
REST = b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n%b\r\n\r\n"
OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE pid NOT IN (pg_backend_pid(), %s) AND backend_type = 'client backend'
    AND application_name NOT IN ('keystead-gateway', 'held')
"""
TRANSACTIONS = """
SELECT xact_commit + xact_rollback, extract(epoch FROM clock_timestamp())::float
FROM pg_stat_database WHERE datname = current_database()
"""
SEED = """
import django
django.setup()
from apiauth.core import clock
from apiauth.core.actor import SYSTEM
from apiauth.services import apps, deployments, keys
given = {"actor": SYSTEM, "now": clock.now()}
deployment = deployments.create_deployment(name="Away", allowed_origins=(), **given)
fields = {"slug": "aa_1", "name": "Away", "key_prefix": "away"}
app = apps.create_app(deployment_id=deployment.id, fields=fields, **given)
print(keys.create_key(app_id=app.id, name="key", **given).secret.text)
"""


@pytest.fixture
def proxy(transactional_db):
    with closing(FreezingProxy(dsn())) as proxy:
        yield proxy


@pytest.fixture
def start(tmp_path):
    """Start gateway processes that end with the test."""
    with ExitStack() as stack:

        def start(**variables):
            gateway = GatewayProcess(tmp_path, **variables)
            stack.callback(gateway.kill)
            return gateway

        yield start


@pytest.fixture
def server(monkeypatch):
    """A database server of its own with a key, which can be stopped."""
    with tempfile.TemporaryDirectory(prefix="keystead-away-") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.delenv("KEYSTEAD_POSTGRES_PASSWORD", raising=False)
        server = EmbeddedPostgres(Path(folder) / "data", durable=False)
        server.start()
        yield server
        server.remove()


def seeded(url):
    """Lay out a database with one key, and return its secret."""
    environment = os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "config.settings"}
    migrate = [sys.executable, str(REPOSITORY / "manage.py"), "migrate"]
    subprocess.run(migrate, env=environment, check=True, capture_output=True)
    seed = [sys.executable, "-c", SEED]
    done = subprocess.run(seed, env=environment, check=True, capture_output=True, text=True, cwd=REPOSITORY)
    return done.stdout.split()[-1]


def test_a_yes_up_to_the_bound_then_503_and_full_service_once_the_database_is_back(server, start):
    secret = seeded(server.database_url)
    gateway = start(database=server.database_url, KEYSTEAD_STALE_BOUND_SECONDS=str(BOUND_SECONDS))
    with calling(gateway.port, secret=secret) as callers:
        callers.wait_for(100)
        server.stop(clean_seconds=0)
        answers = [gateway.check(secret)]
        while answers[-1].status == 200:
            answers.append(gateway.check(secret))
        callers.wait_for(20, status=503)
        health, is_ready = gateway.health(), gateway.ask("GET", "/ready").status
        server.start()
        callers.wait_for(100)
        gateway.until(secret, 200)
        assert gateway.health()["status"] == "ok"
    *given, refused = answers
    ages = [answer.body["stale_ms"] for answer in given]
    assert max(ages) <= BOUND_SECONDS * 1000, "never later than the bound"
    assert health["stale_ms"] >= BOUND_SECONDS * 1000, "and never before"
    assert ages[-1] > 1000, "it went on without the database"
    assert (refused.status, refused.headers["retry-after"], refused.body["code"]) == (503, "1", "stale")
    assert (health["status"], is_ready) == ("stale", 503)
    gateway.judged(callers, database=server.database_url).require_whole()


def test_known_keys_need_no_connection_and_the_rest_is_a_503_without_one(make_key, backend_key, start):
    secret = make_key().secret.text
    requests = [
        b"GET /api-auth/apps" + REST % (b"Authorization: Bearer %b" % backend_key.secret.text.encode()),
        b"GET /ready" + REST % b"X: y",
    ]
    gateway = start()
    with web_process() as web, ExitStack() as held, calling(gateway.port, secret=secret) as callers:
        until(lambda: hold_every_connection(held) or refuses(web, requests), 20, "no connection is left")
        assert {gateway.check(secret).status for _ in range(200)} == {200}
        assert gateway.check(mint("nw_live")).status == 401, "the gateway's own connection is there"
        held.close()
        until(lambda: web.answer(requests[1])[0] == 200, 20, "the web process is ready")
    assert callers.heard(200) > 200
    assert callers.statuses == {200}, "nobody heard of it"
    gateway.judged(callers).require_whole()
    django_connection.close()
    django_connection.close_pool()  # it goes on trying less and less often, and the next test would wait for it


def refuses(web, requests):
    return {web.answer(request)[0] for request in requests} == {503}


def hold_every_connection(held):
    """Take every connection that is left, and those of the web process."""
    hold = {"conninfo": dsn(), "application_name": "held"}
    with suppress(psycopg.OperationalError):
        while True:
            connection = held.enter_context(closing(psycopg.connect(**hold, autocommit=True)))
            connection.execute(OTHERS, [django_connection.connection.info.backend_pid])


@pytest.mark.parametrize("fault", ["slow", "silent"])
@pytest.mark.parametrize("most_keys", ["1000000", "100"], ids=["all keys in memory", "some"])
def test_no_answer_waits_for_a_database_that_does_not_answer(make_key, proxy, start, fault, most_keys):
    """Known keys go on; a key that would have to be asked for is a 503, or unknown as of the last poll."""
    oldest = make_key().secret.text
    secret = make_key().secret.text
    copy_keys(200)
    gateway = start(database=proxy.address, KEYSTEAD_SNAPSHOT_KEYS=most_keys)
    with calling(gateway.port, secret=secret) as callers:
        callers.wait_for(20)
        if fault == "slow":
            proxy.delay_seconds = 10.0
        else:
            proxy.freeze_all()
        known = [gateway.check(secret).status for _ in range(100)]
        not_used = {gateway.check(oldest).status for _ in range(20)}
        unknown = {gateway.check(mint("nw_live")).status for _ in range(20)}
        proxy.delay_seconds = 0.0
        proxy.mend()
        gateway.until(mint("nw_live"), 401)
    assert known == [200] * 100
    assert not_used == ({503} if most_keys == "100" else {200}), "nobody can tell yet what it may do"
    assert unknown <= {401, 503}
    assert callers.statuses == {200}
    gateway.judged(callers).require_whole()


def copy_keys(count):
    """Add newer copies of the newest key, each with a digest of its own."""
    key = Key.objects.order_by("id").last()
    fields = {field.attname: getattr(key, field.attname) for field in Key._meta.concrete_fields}
    Key.objects.bulk_create(
        Key(**fields | {"id": key.id + number, "lineage_id": key.id + number, "digest": number.to_bytes(32)})
        for number in range(1, count + 1)
    )


def test_what_changed_while_the_listener_was_cut_off_is_all_there(make_key, proxy, start):
    secrets = [make_key(f"key {number}").secret.text for number in range(20)]
    gateway = start(database=proxy.address)
    assert {gateway.check(secret).status for secret in secrets} == {200}
    with calling(gateway.port, secret=secrets[0]) as callers:
        proxy.cut()
        revoked = list(Key.objects.order_by("id").values_list("id", flat=True)[::2])
        for turn in range(500):
            Key.objects.filter(id__in=revoked).update(note=str(turn))
        for key_id in revoked:
            Key.objects.filter(id=key_id).update(revoked_at=timezone.now())
        proxy.mend()
        gateway.until(secrets[-2], 401)
        assert [gateway.check(secret).status for secret in secrets] == [401, 200] * 10
        callers.wait_for(20, status=401)
    gateway.judged(callers).require_whole()


def test_a_listener_that_does_not_read_holds_nobody_up(make_key, start):
    """Another client keeps the notification queue from being emptied, and the gateway itself stands still."""
    secret = make_key().secret.text
    gateway = start()
    with psycopg.connect(dsn()) as stuck, calling(gateway.port, secret=secret) as callers:
        callers.wait_for(20)
        stuck.execute("LISTEN keystead_changes")
        stuck.commit()
        stuck.execute("SELECT 1")  # and now it is idle in its transaction
        os.killpg(gateway.process.pid, signal.SIGSTOP)
        try:
            with psycopg.connect(dsn(), autocommit=True) as writer:
                for turn in range(10_000):
                    writer.execute("UPDATE apiauth_key SET note = %s", [str(turn)])
                writer.execute("UPDATE apiauth_key SET revoked_at = now()")
                (used,) = writer.execute("SELECT pg_notification_queue_usage()").fetchone()
        finally:
            os.killpg(gateway.process.pid, signal.SIGCONT)
        assert 0 < used < 0.01
        gateway.until(secret, 401)
        assert gateway.check(secret).body["rule"] == "key_revoked"
        callers.wait_for(20, status=401)
    # Who gave up while it stood still is recorded all the same.
    verdict = gateway.judged(callers)
    verdict.require_whole(but_invented=True)


def test_a_gateway_is_never_idle_in_a_transaction(make_key, start):
    secret = make_key().secret.text
    gateway = start()
    with psycopg.connect(dsn(), autocommit=True) as other:
        for turn in range(20):
            Key.objects.update(note=str(turn))
            gateway.check(mint("nw_live"))
        state = "SELECT state FROM pg_stat_activity WHERE application_name = 'keystead-gateway'"
        until(lambda: set(other.execute(state)) == {("idle",)}, 5, "the gateway is idle outside a transaction")
    assert gateway.check(secret).status == 200
    gateway.judged().require_whole()


def test_checks_at_once_of_a_key_that_is_not_in_memory_all_know_it(make_key, start):
    oldest = make_key().secret.text
    copy_keys(500)
    gateway = start(KEYSTEAD_SNAPSHOT_KEYS="100")
    keys = gateway.health()["keys"]
    assert (keys["resident"], keys["total"], keys["mode"]) == (50, 501, "recent")
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(gateway.check(oldest).status)) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 32
    assert gateway.health()["keys"]["resident"] == 51, "it was read, and the others stayed"
    gateway.judged().require_whole()


@pytest.mark.parametrize("most_keys", ["1000000", "100"], ids=["all keys in memory", "some"])
def test_a_flood_of_unknown_keys_costs_a_bounded_number_of_queries(make_key, start, most_keys):
    secret = make_key().secret.text
    copy_keys(200)
    gateway = start(KEYSTEAD_SNAPSHOT_KEYS=most_keys)
    gateway.until(secret, 200)
    with psycopg.connect(dsn(), autocommit=True) as other, calling(gateway.port, secret=secret) as callers:
        before, at = other.execute(TRANSACTIONS).fetchone()
        statuses = [gateway.check(mint("nw_live")).status for _ in range(2_000)]
        known = [gateway.check(secret).status for _ in range(50)]
        after, ended = other.execute(TRANSACTIONS).fetchone()
    assert set(statuses) == {401}
    assert known == [200] * 50
    a_second = 25  # polls have a rate of their own, whoever asks
    # Of 2,050 checks; a session tells of its transactions up to seconds late, so some are of the time before.
    assert after - before <= a_second * (ended - at + 4)
    assert callers.statuses == {200}
    gateway.judged(callers).require_whole()
