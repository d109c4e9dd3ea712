"""A gateway before a standby, and after its promotion: it refuses the one and reads the other anew."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from apiauth.verify.listener import Listener
from apiauth.verify.snapshot import Snapshot
from config import env
from config.env import REPOSITORY
from config.postgres import EmbeddedPostgres
from tests.support.running import until

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def server(monkeypatch):
    """A server of its own with our schema, which can be stopped and started as something else."""
    with tempfile.TemporaryDirectory(prefix="keystead-failover-") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.delenv("KEYSTEAD_POSTGRES_PASSWORD", raising=False)
        server = EmbeddedPostgres(Path(folder) / "data", durable=False)
        url = server.start()
        command = [sys.executable, str(REPOSITORY / "manage.py"), "migrate"]
        subprocess.run(command, env=os.environ | {"DATABASE_URL": url}, check=True, capture_output=True)
        yield server
        server.remove()


def epoch_of(url):
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT keystead_epoch()").fetchone()[0]


def test_a_standby_is_refused_and_its_promotion_is_another_epoch(server, caplog):
    before = epoch_of(server.database_url)
    server.stop()
    (server.place.cluster / "standby.signal").touch()
    url = server.start()
    snapshot = Snapshot()
    listener = Listener(url, snapshot, env.load().peppers)
    listener.start()
    try:
        until(lambda: "the database is a standby" in caplog.text, 20, "the log says what is wrong")
        assert not snapshot.is_loaded
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_promote()")
        until(lambda: snapshot.is_loaded, 20, "the gateway has loaded")
        assert snapshot.tables.epoch == before + 1
    finally:
        listener.stop()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT keystead_note_history()").fetchone() == (True,)
    assert epoch_of(url) == before + 1
