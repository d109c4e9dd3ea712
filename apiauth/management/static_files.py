"""Collects the static files when their sources changed, and only then: a warm start has no time for more."""

import fcntl
import hashlib
from importlib.metadata import version
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

_STAMP = ".sources"
_LOCK = ".lock"


def collect() -> bool:
    """Bring STATIC_ROOT up to date; return whether there was anything to do. Two at once take turns."""
    root = Path(settings.STATIC_ROOT)
    root.mkdir(parents=True, exist_ok=True)
    with (root / _LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _collect(root / _STAMP)


def _collect(stamp: Path) -> bool:
    present = fingerprint()
    try:
        if stamp.read_text() == present:
            return False
    except OSError:
        pass
    call_command("collectstatic", interactive=False, verbosity=0)
    draft = stamp.with_suffix(".draft")
    draft.write_text(present)
    draft.replace(stamp)
    return True


def fingerprint() -> str:
    """Return a digest of every source's path, size and time of change, and of the makers' versions."""
    digest = hashlib.sha256(f"{version('django')} {version('whitenoise')}".encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            known = Path(storage.path(path)).stat()
            digest.update(f"{path}\0{known.st_size}\0{known.st_mtime_ns}\0".encode())
    return digest.hexdigest()
