"""`./keystead up` with real processes: what it starts, tells, restarts, and never leaves behind."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from keystead_client import Keystead

from config import ports
from config.env import REPOSITORY
from config.first_secrets import MAKERS

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

START_SECONDS = 90
STOP_SECONDS = 8
OLD_PROGRAMS = Path("/usr/lib/postgresql/15/bin")


def eventually(is_true: Callable[[], Any], seconds: float, what: str) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := is_true()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)
    return found


def clean_environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("KEYSTEAD_", "DATABASE_"))}
    kept.pop("DJANGO_SETTINGS_MODULE", None)
    return kept | more


def command(data_dir: Path, *arguments: str) -> list[str]:
    return [sys.executable, str(REPOSITORY / "manage.py"), "up", "--data-dir", str(data_dir), *arguments]


def parents() -> dict[int, int]:
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                found[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    return found


def family_of(pid: int) -> set[int]:
    """The process and all that descend from it."""
    family, tree = {pid}, parents()
    while more := {child for child, parent in tree.items() if parent in family} - family:
        family |= more
    return family


def is_running(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@dataclass
class Running:
    process: subprocess.Popen[str]
    data_dir: Path
    ready_file: Path
    ready: dict[str, Any] = field(default_factory=dict)

    def wait_until_ready(self) -> "Running":
        def look() -> bool:
            if self.process.poll() is not None:
                pytest.fail(f"up ended: {self.process.communicate()[1]}")
            return self.ready_file.exists()

        eventually(look, START_SECONDS, "the ready file")
        self.ready = json.loads(self.ready_file.read_text())
        return self

    def gateways(self) -> list[int]:
        pids: list[int] = json.loads(self.ready_file.read_text())["pids"]["gateway"]
        return pids


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the database's own account can reach, unlike pytest's private one."""
    path = Path(tempfile.mkdtemp(prefix="keystead-up-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Running]]:
    """Start `up` on the module's data folder; whatever still runs afterwards is ended."""
    started: list[Running] = []

    def begin(*arguments: str, data_dir: Path | None = None, **variables: str) -> Running:
        place, ready_file = data_dir or folder / "data", folder / f"ready-{len(started)}.json"
        ready_file.unlink(missing_ok=True)
        options = ("--port", "0", "--gateway-port", "0", "--ready-file", str(ready_file), *arguments)
        process = subprocess.Popen(
            command(place, *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(**variables),
        )
        started.append(Running(process, place, ready_file))
        return started[-1].wait_until_ready()

    yield begin
    for one in started:
        if one.process.poll() is None:
            one.process.send_signal(signal.SIGINT)
            try:
                one.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                one.process.kill()
        one.process.communicate()


def refuse(data_dir: Path, *arguments: str, **variables: str) -> str:
    """Run an `up` that must refuse, and return its one sentence."""
    result = subprocess.run(
        command(data_dir, "--port", "0", "--gateway-port", "0", *arguments),
        capture_output=True,
        text=True,
        timeout=60,
        env=clean_environment(**variables),
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    (sentence,) = result.stderr.strip().splitlines()
    return sentence


def test_the_ready_file_names_every_part_for_its_owner_alone(start: Callable[..., Running]) -> None:
    running = start()
    ready = running.ready
    assert running.ready_file.stat().st_mode & 0o777 == 0o600
    assert set(ready) == {
        *("web_url", "gateway_url", "backend_key", "deployment_id", "app_slug", "product_url"),
        *("admin_url", "admin_user", "admin_password", "database_url", "pids"),
    }
    assert all(ready.values())
    pids = ready["pids"]
    assert pids["up"] == running.process.pid
    for pid in (pids["postgres"], pids["web"], *pids["gateway"], pids["worker"], pids["product"]):
        assert parents()[pid] == running.process.pid
    assert [os.getpriority(os.PRIO_PROCESS, pid) for pid in (pids["web"], *pids["gateway"])] == [15, 0, 0]
    for url in (f"{ready['web_url']}/ready", f"{ready['gateway_url']}/ready", ready["product_url"]):
        with urlopen(url, timeout=5) as answer:
            assert answer.status == 200


def test_a_ticket_made_beside_it_leads_to_where_it_answers(start: Callable[..., Running]) -> None:
    running = start()
    ready = running.ready
    command = [sys.executable, str(REPOSITORY / "manage.py"), "ticket", "--json", "--subject", "support"]
    command += ["--deployment", ready["deployment_id"], "--app", ready["app_slug"]]
    variables = clean_environment(KEYSTEAD_DATA_DIR=str(running.data_dir))
    made = subprocess.run(command, capture_output=True, check=True, env=variables, timeout=60)
    with urlopen(json.loads(made.stdout)["url"], timeout=5) as answer:
        assert answer.url.startswith(f"{ready['web_url']}/")
        assert answer.status == 200


def test_the_demo_works_where_the_gateway_asks_for_a_token(start: Callable[..., Running], folder: Path) -> None:
    ready = start(data_dir=folder / "token", KEYSTEAD_GATEWAY_AUTH="token").ready
    with Keystead(ready["web_url"], ready["backend_key"]) as keystead:
        eventually(lambda: keystead.list_logs(ready["app_slug"]).data, STOP_SECONDS, "a decision on record")
        made = keystead.create_key(ready["app_slug"], name="Caller", permissions=["routes:read"])
    call = Request(f"{ready['product_url']}/v2/routes", headers={"Authorization": f"Bearer {made.secret}"})
    with urlopen(call, timeout=5) as answer:
        assert answer.status == 200


def test_without_the_demo_its_facts_are_null(start: Callable[..., Running]) -> None:
    running = start("--no-demo")
    ready = running.ready
    absent = {name for name, value in ready.items() if value is None}
    assert absent == {"backend_key", "deployment_id", "app_slug", "product_url"}
    assert ready["pids"]["product"] is None


def test_secrets_are_private_and_in_no_environment_command_line_or_log(start: Callable[..., Running]) -> None:
    running = start()
    folder = running.data_dir / "secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.iterdir())
    values = [(folder / name).read_text().strip().removeprefix("1:").encode() for name in MAKERS]
    values.append(running.ready["backend_key"].encode())
    seen = [path.read_bytes() for path in (running.data_dir / "logs").iterdir()]
    for pid in family_of(running.process.pid):
        seen += [(Path("/proc") / str(pid) / name).read_bytes() for name in ("environ", "cmdline")]
    assert not any(value in text for value in values for text in seen)
    assert not (folder / "demo_keys").exists()


def test_a_second_up_on_the_same_folder_is_refused(start: Callable[..., Running]) -> None:
    running = start("--no-demo")
    assert "Another ./keystead up is running" in refuse(running.data_dir)


@pytest.mark.parametrize("flag", ["--port", "--gateway-port"])
def test_a_taken_port_is_named_with_the_flag_that_changes_it(folder: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = str(ports.number(taken))
        sentence = refuse(folder / "other", flag, number)
    assert number in sentence
    assert flag in sentence


def test_the_ports_of_a_running_up_are_taken_for_another(start: Callable[..., Running], folder: Path) -> None:
    port = start("--no-demo").ready["gateway_url"].rpartition(":")[2]
    assert port in refuse(folder / "other", "--gateway-port", port)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_no_process_and_no_ready_file(start: Callable[..., Running], how: signal.Signals) -> None:
    running = start()
    family = family_of(running.process.pid)
    running.process.send_signal(how)
    assert running.process.wait(STOP_SECONDS) == 0
    assert [pid for pid in family if is_running(pid)] == []
    assert not running.ready_file.exists()


def test_a_hangup_replaces_web_gateways_and_worker_alone(start: Callable[..., Running]) -> None:
    running = start(KEYSTEAD_GATEWAY_PROCESSES="2")
    old, (first, second) = running.ready["pids"], running.gateways()
    running.process.send_signal(signal.SIGHUP)

    def new() -> Any:
        pids = json.loads(running.ready_file.read_text())["pids"]
        replaced = {pids["web"], *pids["gateway"], pids["worker"]}
        return not replaced & {old["web"], first, second, old["worker"]} and pids

    pids = eventually(new, START_SECONDS, "the reload")
    assert (pids["postgres"], pids["product"]) == (old["postgres"], old["product"])
    for url in (f"{running.ready['web_url']}/ready", f"{running.ready['gateway_url']}/ready"):
        with urlopen(url, timeout=5) as answer:
            assert answer.status == 200
    assert not any(map(is_running, (old["web"], first, second, old["worker"])))


def test_a_killed_supervisor_leaves_no_process(start: Callable[..., Running]) -> None:
    running = start()
    family = family_of(running.process.pid)
    running.process.kill()
    running.process.wait()
    eventually(lambda: not any(map(is_running, family)), STOP_SECONDS, "the end of every child")


def test_after_a_killed_supervisor_the_same_folder_starts_again(start: Callable[..., Running]) -> None:
    running = start("--no-demo")
    running.process.kill()
    running.process.wait()
    assert start("--no-demo").ready["database_url"] == running.ready["database_url"]


def test_a_killed_gateway_is_restarted_and_answers(start: Callable[..., Running]) -> None:
    running = start("--no-demo", KEYSTEAD_GATEWAY_PROCESSES="1")
    (old,) = running.gateways()
    family = family_of(old)
    os.kill(old, signal.SIGKILL)
    (new,) = eventually(lambda: running.gateways() != [old] and running.gateways(), STOP_SECONDS, "a new gateway")
    assert new != old
    port = int(running.ready["gateway_url"].rpartition(":")[2])
    eventually(lambda: ports.answers(port, "/ready"), STOP_SECONDS, "its answer")
    assert [pid for pid in family if is_running(pid)] == []


def test_a_killed_worker_of_a_server_is_replaced_with_its_server(start: Callable[..., Running]) -> None:
    running = start("--no-demo")
    web = running.ready["pids"]["web"]
    (worker,) = family_of(web) - {web}
    os.kill(worker, signal.SIGKILL)
    port = int(running.ready["web_url"].rpartition(":")[2])
    eventually(lambda: not is_running(web) and ports.answers(port, "/ready"), 20, "its replacement")


def test_a_killed_database_server_is_restarted(start: Callable[..., Running]) -> None:
    running = start("--no-demo")
    old = running.ready["pids"]["postgres"]
    os.kill(old, signal.SIGKILL)

    def replaced() -> bool:
        return bool(json.loads(running.ready_file.read_text())["pids"]["postgres"] not in (None, old))

    eventually(replaced, 30, "a new database server")


def test_a_lost_secret_is_not_replaced_beside_a_database(start: Callable[..., Running]) -> None:
    running = start("--no-demo")
    running.process.send_signal(signal.SIGINT)
    running.process.wait(STOP_SECONDS)
    peppers = running.data_dir / "secrets" / "peppers"
    kept = peppers.rename(peppers.with_name("kept"))
    try:
        assert str(peppers) in refuse(running.data_dir)
    finally:
        kept.rename(peppers)


def test_a_folder_that_cannot_be_written_is_named(folder: Path) -> None:
    (folder / "file").touch()
    sentence = refuse(folder / "file" / "data")
    assert str(folder / "file" / "data") in sentence
    assert "--data-dir" in sentence


def test_a_disk_that_is_nearly_full_is_refused(folder: Path) -> None:
    free = shutil.disk_usage(folder).free // 2**20
    assert "MiB are free" in refuse(folder / "other", KEYSTEAD_LEAST_FREE_MIB=str(free + 100_000))


def test_an_unreachable_database_is_named_without_its_password(folder: Path) -> None:
    url = f"postgresql://someone:hide-me@127.0.0.1:{ports.free()}/keystead"
    sentence = refuse(folder / "other", DATABASE_URL=url)
    assert "127.0.0.1" in sentence
    assert "DATABASE_URL" in sentence
    assert "hide-me" not in sentence


def test_a_wrong_option_is_wrong_usage(folder: Path) -> None:
    wrong = subprocess.run(command(folder, "--port", "80000"), capture_output=True, text=True, timeout=30)
    assert wrong.returncode == 2
    assert "65535" in wrong.stderr


@pytest.fixture
def old_server(folder: Path) -> Iterator[str]:
    """A PostgreSQL 15 of the operator's own; its URL."""
    if not (OLD_PROGRAMS / "initdb").exists():
        pytest.skip("there is no PostgreSQL 15 on this machine")
    cluster = folder / "old"
    cluster.mkdir(mode=0o700)
    user = None
    if os.geteuid() == 0:
        user = "postgres"
        shutil.chown(cluster, user, user)
    given: dict[str, Any] = {"user": user, "check": True, "cwd": "/", "stdout": subprocess.DEVNULL}
    subprocess.run([OLD_PROGRAMS / "initdb", "-D", cluster, "-A", "trust", "-N", "-E", "UTF8"], **given)
    options = f"-c listen_addresses='' -c fsync=off -k {cluster}"
    subprocess.run(
        [OLD_PROGRAMS / "pg_ctl", "-D", cluster, "-w", "-o", options, "-l", cluster / "log", "start"], **given
    )
    subprocess.run([OLD_PROGRAMS / "createdb", "-h", cluster, "keystead"], **given)
    yield f"postgresql://{user or os.environ.get('USER', '')}@/keystead?host={cluster}"
    subprocess.run([OLD_PROGRAMS / "pg_ctl", "-D", cluster, "-m", "immediate", "stop"], **given)


def test_a_database_of_the_operators_own_is_used(start: Callable[..., Running], folder: Path, old_server: str) -> None:
    ready = start(data_dir=folder / "own", DATABASE_URL=old_server).ready
    assert ready["pids"]["postgres"] is None
    assert ready["database_url"] == old_server
    assert not (folder / "own" / "postgres").exists()
