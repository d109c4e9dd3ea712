"""How much room the spool has left on its disk, and a way to set some of it aside."""

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

SHORT_FROM = 0.8
QUARANTINE = "quarantine"
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE of linux/falloc.h: blocks beyond the end, which appends then fill


@dataclass(frozen=True, slots=True)
class Room:
    """What the spool has used of the room it could have, from 0 to 1, and what else its operator should know."""

    used: float
    has_reserve: bool
    """Whether what was set aside for a full disk is whole."""
    quarantined: int
    """How many damaged pieces lie aside."""

    @property
    def is_short(self) -> bool:
        """Tell whether callers had better ask another host."""
        return self.used >= SHORT_FROM or not self.has_reserve


def make_folder(folder: Path) -> None:
    """Make a spool's folder where there is none, and have the disk keep its name. Raises OSError."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Have the disk keep the names that stand in a folder. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def used_of(folder: Path) -> float:
    """Return what the files of a spool take of what they and the free space make together, from 0 to 1."""
    taken = 0
    for entry in os.scandir(folder):
        try:
            taken += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:  # drained and deleted since the listing
            continue
    return taken / max(1, taken + free_bytes(folder))


def quarantined_in(folder: Path) -> int:
    """Return how many damaged pieces lie aside."""
    try:
        return sum(1 for _ in os.scandir(folder / QUARANTINE))
    except FileNotFoundError:
        return 0


def free_bytes(folder: Path) -> int:
    """Return how many bytes the disk of a folder has left for an ordinary account."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def allocate(descriptor: int, size: int) -> None:
    """Give an open file so many bytes of disk, and leave its length as it is. Raises OSError."""
    try:
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    except AttributeError:
        raise OSError("this system sets no disk aside without making a file longer") from None
    if fallocate(descriptor, _KEEP_SIZE, ctypes.c_longlong(0), ctypes.c_longlong(size)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
