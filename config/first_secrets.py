"""Makes an installation's secrets, once, each in a file that its owner alone can read."""

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

MAKERS: dict[str, Callable[[], str]] = {
    "django_key": lambda: secrets.token_urlsafe(50),
    "peppers": lambda: f"1:{base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}\n",
    "activity_key": lambda: secrets.token_urlsafe(32),
    "admin_password": lambda: secrets.token_urlsafe(15),
    "postgres_password": lambda: secrets.token_urlsafe(24),
}


def make(folder: Path) -> None:
    """Make the folder (0700) and every secret that is not there yet (0600)."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, maker in MAKERS.items():
        path = folder / name
        if not path.exists():
            write(path, maker())


def write(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
