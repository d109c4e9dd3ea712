"""Damaged pieces of spool files, put aside for a person to look at."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import structlog

from apiauth.audit.room import QUARANTINE

_SUFFIX = ".bad"

log = structlog.get_logger(__name__)

Piece = tuple[int, bytes]
"""Where it begins in its file, and its bytes."""


def put_aside(file: Path, pieces: Iterable[Piece]) -> None:
    """Keep pieces of a spool file beside it; named by their places, so a repeat writes the same. Raises OSError."""
    for offset, data in pieces:
        folder = file.parent / QUARANTINE
        folder.mkdir(mode=0o700, exist_ok=True)
        _write_whole(folder / f"{file.name}.{offset}{_SUFFIX}", data)


def are_aside(file: Path, count: int) -> bool:
    """Tell whether so many pieces of a spool file lie aside."""
    return not count or sum(1 for _ in (file.parent / QUARANTINE).glob(f"{_literal(file.name)}.*{_SUFFIX}")) >= count


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file under another name first: what a full disk has cut short must not pass for a piece."""
    unfinished = path.with_suffix(".unfinished")
    try:
        unfinished.write_bytes(data)
        unfinished.rename(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def _literal(name: str) -> str:
    """Return a name as `glob` takes it for itself."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)
