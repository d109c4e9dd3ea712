"""What lies in a spool folder: the files that are to be drained, and things under such names that are none."""

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from apiauth.audit.spool import BIRTH_SUFFIX, SUFFIX, is_owned

ABANDONED_BIRTH_SECONDS = 60
MOST_NAME_BYTES = 200  # ours have half as many; a damaged piece needs a longer name than its file, and 255 is the most


@dataclass(frozen=True, slots=True)
class Contents:
    """The spool files of a folder, the oldest first, and the names of what only looks like one, in order."""

    files: list[Path]
    foreign: list[str]


def shown(name: str) -> str:
    """Return a file's name as the database and a log can hold it, whatever bytes it has."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def spool_files(folder: Path) -> list[Path]:
    """Return the spool files of a folder, the oldest first; sweep up files that were never born."""
    return contents(folder).files


def contents(folder: Path) -> Contents:
    """Tell spool files from directories, pipes, links and names too long to be ours; sweep as `spool_files` does."""
    files, foreign = [], []
    for entry in os.scandir(folder):
        if entry.name.endswith(SUFFIX):
            with suppress(FileNotFoundError):  # drained and deleted since the listing
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(found.st_mode) and len(os.fsencode(entry.name)) <= MOST_NAME_BYTES:
                    files.append((found.st_mtime_ns, entry.path))
                else:
                    foreign.append(shown(entry.name))
        elif entry.name.endswith(BIRTH_SUFFIX):
            with suppress(OSError):
                _sweep(Path(entry.path))
    return Contents([Path(path) for _, path in sorted(files)], sorted(foreign))


def _sweep(birth: Path) -> None:
    """Remove a file that was never begun and that nobody holds: neither on its way nor a living spool's reserve."""
    if datetime.now(UTC).timestamp() - birth.stat().st_mtime <= ABANDONED_BIRTH_SECONDS:
        return
    descriptor = os.open(birth, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not is_owned(descriptor):
            birth.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
