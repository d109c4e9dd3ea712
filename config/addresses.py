"""Where a running `up` answers: noted in its data folder for the commands that are run beside it."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

FILE = "up.addresses"
NAMES = ("KEYSTEAD_PUBLIC_URL", "KEYSTEAD_GATEWAY_URL")


@contextmanager
def noted_meanwhile(folder: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """Note these settings in a data folder, for as long as the block runs and its process lives."""
    unfinished = folder / f"{FILE}.unfinished"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, json.dumps({name: variables[name] for name in NAMES}).encode())
        unfinished.rename(folder / FILE)
        yield
    finally:
        os.close(descriptor)


def noted(folder: Path) -> dict[str, str]:
    """Return the settings that a running `up` has noted; none where nobody holds the note."""
    try:
        descriptor = os.open(folder / FILE, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return {}
    with open(descriptor, "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            settings: dict[str, str] = json.load(file)
            return settings
    return {}
