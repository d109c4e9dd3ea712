"""The data folder of `up`: private, held by one run at a time, with room to spare and secrets of its own."""

import fcntl
import os
import shutil
from contextlib import ExitStack
from pathlib import Path

from config import first_secrets
from config.env import EnvironmentProblem
from config.postgres_place import private_folder

LEAST_FREE_MIB = 384


def open_locked(data_dir: Path, stack: ExitStack) -> Path:
    """Make and lock the data folder. Raises EnvironmentProblem where it cannot be used."""
    try:
        private_folder(data_dir)
        for name in ("secrets", "logs", "spool", "limits", "static", "run"):
            private_folder(data_dir / name)
        lock = os.open(data_dir / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, lock)
    except OSError as error:
        raise EnvironmentProblem(
            f"The data folder {data_dir} cannot be written ({error.strerror}): choose another with --data-dir."
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise EnvironmentProblem(
            f"Another ./keystead up is running on {data_dir}: stop it, or choose another --data-dir."
        ) from None
    _check_space(data_dir)
    return data_dir


def _check_space(data_dir: Path) -> None:
    least = whole_setting("KEYSTEAD_LEAST_FREE_MIB", LEAST_FREE_MIB, 0, 1_000_000)
    free = shutil.disk_usage(data_dir).free // 2**20
    if free < least:
        raise EnvironmentProblem(
            f"Only {free} MiB are free under {data_dir}, and Keystead wants {least}: free some space, "
            "choose another --data-dir, or set KEYSTEAD_LEAST_FREE_MIB."
        )


def whole_setting(name: str, default: int, least: int, most: int) -> int:
    """Return a number from the environment. Raises EnvironmentProblem."""
    text = os.environ.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 8 and least <= int(text) <= most):
        raise EnvironmentProblem(f"{name} must be a whole number from {least} to {most}.")
    return int(text)


def make_secrets(data_dir: Path) -> None:
    """Make the secrets on the first run; never a new one beside data that an old one protects."""
    folder = data_dir / "secrets"
    if (data_dir / "postgres.socket").exists():
        lost = [name for name in first_secrets.MAKERS if not is_given(name) and not (folder / name).exists()]
        if lost:
            raise EnvironmentProblem(
                f"{folder / lost[0]} is missing although there is a database: restore it from a backup, "
                "since what it protects cannot be used with a new one."
            )
    first_secrets.make(folder)


def is_given(name: str) -> bool:
    """Tell whether the operator gave this secret in the environment."""
    return bool({f"KEYSTEAD_{name.upper()}", f"KEYSTEAD_{name.upper()}_FILE"} & os.environ.keys())
