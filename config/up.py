"""`./keystead up`: everything on one machine, until Ctrl-C. Knows no Django; asks children that do."""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from config import addresses, env, first_secrets, ports, ready
from config import data_dir as data_folder
from config.children import Child, Signals, StopRequested, spawn
from config.env import REPOSITORY, EnvironmentProblem
from config.postgres import EmbeddedPostgres
from config.processes import WEB_NICENESS, port_number
from config.supervisor import Supervisor, gateway_names, manage, say, server_children

GATEWAYS_MOST = 64


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for."""

    port: int
    gateway_port: int
    demo: bool
    ready_file: Path | None


@dataclass(slots=True)
class Installation:
    """One run of `up`: its folder, ports and processes."""

    data_dir: Path
    options: Options
    supervisor: Supervisor
    web_port: int
    gateway_port: int
    product_port: int
    held: list[socket.socket]
    variables: dict[str, str] = field(repr=False)
    prepared: dict[str, Any] = field(default_factory=dict)

    @property
    def database_url(self) -> str:
        """Return the URL of the database, which holds its password."""
        return env.database_url(self.variables)

    @property
    def has_demo(self) -> bool:
        """Tell whether there is a demo: none was asked for, or someone deleted its app."""
        return self.options.demo and bool(self.prepared.get("app_slug"))

    @property
    def demo_keys_file(self) -> Path:
        """Return where `prepare` leaves the demo keys for the one moment that they are needed."""
        return self.data_dir / "secrets" / "demo_keys"

    def log(self, name: str) -> Path:
        """Return where a process writes."""
        return self.data_dir / "logs" / f"{name}.log"


def main(arguments: list[str]) -> int:
    """Run everything until someone asks to stop."""
    options = parse(arguments[1:])
    signals = Signals()
    supervisor = Supervisor(signals, env.stop_seconds())
    began = time.monotonic()
    with ExitStack() as stack:
        data_dir = data_folder.open_locked(env.data_dir(), stack)
        held = [
            stack.enter_context(ports.hold(options.port, "--port")),
            stack.enter_context(ports.hold(options.gateway_port, "--gateway-port")),
        ]
        stack.callback(supervisor.stop)
        try:
            installation = start(data_dir, options, supervisor, held)
            stack.enter_context(addresses.noted_meanwhile(data_dir, installation.variables))
            if options.ready_file is not None:
                stack.callback(options.ready_file.unlink, missing_ok=True)
            ready.announce(installation)
            supervisor.on_restart = lambda: ready.write_file(installation)  # with the new pids
            say(f"Ready in {time.monotonic() - began:.1f} s. Ctrl-C stops everything.")
            supervisor.run()
        except StopRequested:
            pass
        say("Stopping.")
    return 0


def parse(arguments: list[str]) -> Options:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="./keystead up", allow_abbrev=False)
    parser.add_argument("--port", type=port_number, default=8000, help="port of the portal (default 8000, 0: free)")
    parser.add_argument("--gateway-port", type=port_number, default=8001, help="port of the gateway (default 8001)")
    parser.add_argument("--no-demo", action="store_true", help="no example product and nothing to look at")
    parser.add_argument("--ready-file", type=Path, help="write JSON here once everything answers")
    parser.add_argument("--data-dir", help="where everything is kept (default .keystead beside the script)")
    found = parser.parse_args(arguments)
    ready_file = found.ready_file.absolute() if found.ready_file else None
    return Options(found.port, found.gateway_port, not found.no_demo, ready_file)


def start(data_dir: Path, options: Options, supervisor: Supervisor, held: list[socket.socket]) -> Installation:
    """Start every part and return once each answers."""
    gateways = data_folder.whole_setting("KEYSTEAD_GATEWAY_PROCESSES", min(2, os.cpu_count() or 1), 1, GATEWAYS_MOST)
    data_folder.make_secrets(data_dir)
    web_port, gateway_port = (ports.number(one) for one in held)
    variables = child_variables(data_dir, web_port, gateway_port)
    product_port = ports.free() if options.demo else 0
    installation = Installation(data_dir, options, supervisor, web_port, gateway_port, product_port, held, variables)
    start_database(installation)
    installation.prepared = prepare(installation)
    start_servers(installation, gateways)
    if installation.has_demo:
        start_product(installation)
    send_first_traffic(installation)
    return installation


def send_first_traffic(installation: Installation) -> None:
    """Make something to look at with the keys that `prepare` handed over, if it did."""
    if not installation.demo_keys_file.exists():
        return
    command = [sys.executable, "-m", "config.first_run", str(installation.gateway_port)]
    try:
        files = {
            "KEYSTEAD_DEMO_KEYS_FILE": str(installation.demo_keys_file),
            "KEYSTEAD_BACKEND_KEY_FILE": str(ready.backend_key_file(installation)),
        }
        run(installation, command, "first-run", files)
    except EnvironmentProblem as problem:
        say(f"The demo has no traffic to show: {problem}")


def child_variables(data_dir: Path, web_port: int, gateway_port: int) -> dict[str, str]:
    """Return the environment of our processes: paths of secrets, never their values."""
    variables = dict(os.environ)
    variables["KEYSTEAD_DATA_DIR"] = str(data_dir)
    variables.setdefault("KEYSTEAD_PUBLIC_URL", f"http://{ports.HOST}:{web_port}")
    variables.setdefault("KEYSTEAD_GATEWAY_URL", f"http://{ports.HOST}:{gateway_port}")
    variables.setdefault("KEYSTEAD_GATEWAY_AFFINITY", "processor")
    variables.setdefault("KEYSTEAD_WEB_NICENESS", str(WEB_NICENESS))
    for name in first_secrets.MAKERS:
        if not data_folder.is_given(name):
            variables[f"KEYSTEAD_{name.upper()}_FILE"] = str(data_dir / "secrets" / name)
    variables.update(PYTHONUNBUFFERED="1", PYTHONDONTWRITEBYTECODE="", DJANGO_SETTINGS_MODULE="config.settings")
    return variables


def start_database(installation: Installation) -> None:
    """Start the embedded server, or make sure that the operator's own can be used."""
    if installation.variables.get("DATABASE_URL"):
        run(installation, [sys.executable, "-m", "config.database"], "database")
        return
    pause = installation.supervisor.signals.pause
    postgres = EmbeddedPostgres(installation.data_dir, pause=pause)
    installation.supervisor.postgres = postgres
    postgres.start()
    installation.variables["KEYSTEAD_POSTGRES_SOCKET"] = str(postgres.socket)


def prepare(installation: Installation) -> dict[str, Any]:
    """Migrate, collect the static files, make the first-run data; return what `prepare` says of it."""
    demo = [] if installation.options.demo else ["--no-demo"]
    variables = {
        "KEYSTEAD_DEMO_KEYS_FILE": str(installation.demo_keys_file),
        "KEYSTEAD_PRODUCT_URL": f"http://{ports.HOST}:{installation.product_port}" if not demo else "",
    }
    printed = run(installation, manage("prepare", "--json", *demo), "prepare", variables)
    try:
        found = json.loads(printed)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise EnvironmentProblem(f"The database could not be prepared: see {installation.log('prepare')}.")
    return found


def run(installation: Installation, command: list[str], name: str, more: dict[str, str] | None = None) -> str:
    """Run a command to its end and return what it printed; its own sentence becomes the problem."""
    log = installation.log(name)
    size = log.stat().st_size if log.exists() else 0
    process = spawn(command, installation.variables | (more or {}), log, subprocess.PIPE)
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    printed = b""
    try:
        while process.poll() is None:
            printed += process.stdout.read() or b""
            installation.supervisor.signals.pause(0.02)
        printed += process.stdout.read() or b""
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
    if process.returncode != 0:
        said = printed.decode(errors="replace").strip() or _since(log, size)
        lines = said.splitlines()
        raise EnvironmentProblem(lines[-1] if lines else f"{name} failed: see {log}.")
    return printed.decode()


def _since(log: Path, offset: int) -> str:
    with log.open("rb") as stream:
        stream.seek(offset)
        return stream.read().decode(errors="replace")


def start_servers(installation: Installation, gateways: int) -> None:
    """Start web, gateways and worker side by side, and wait until each answers."""
    supervisor, variables = installation.supervisor, installation.variables
    reports, logs = installation.data_dir / "run", installation.data_dir / "logs"
    web, gateway = installation.held
    children = [
        *server_children("serve", ["web"], web, variables, reports, logs),
        *server_children("gateway", gateway_names(gateways), gateway, variables, reports, logs),
        Child("worker", manage("worker"), variables, installation.log("worker"), reports / "worker"),
    ]
    supervisor.start(children)
    supervisor.wait_until_reported(children)
    for name, port in (("web", installation.web_port), ("gateway", installation.gateway_port)):
        supervisor.wait_until(partial(ports.answers, port, "/ready"), f"an answer of {name}")


def start_product(installation: Installation) -> None:
    """Start the example product, which is told where things are and nothing secret."""
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
    variables = {name: os.environ[name] for name in kept if name in os.environ} | {
        "KEYSTEAD_URL": installation.variables["KEYSTEAD_PUBLIC_URL"],
        "KEYSTEAD_GATEWAY_URL": installation.variables["KEYSTEAD_GATEWAY_URL"],
        "KEYSTEAD_BACKEND_KEY_FILE": str(ready.backend_key_file(installation)),
        "KEYSTEAD_APP": str(installation.prepared.get("app_slug") or ""),
        "PYTHONPATH": str(REPOSITORY / "clients" / "python" / "src"),
        "PRODUCT_HOST": ports.HOST,
        "PRODUCT_PORT": str(installation.product_port),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, str(REPOSITORY / "examples" / "product.py")]
    installation.supervisor.start([Child("product", command, variables, installation.log("product"))])
    log = installation.log("product")
    answers = partial(ports.answers, installation.product_port, "/")
    installation.supervisor.wait_until(answers, f"the example product (see {log})")
