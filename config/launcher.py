"""Start a command that dies with its parent, as another account where one is named.

Runs as a script of its own (`python -I -S launcher.py …`), so it imports nothing of Keystead.
The death signal has to be set after the account changes, because the kernel forgets it then; a
hook between fork and exec could do the same, but is not safe where the parent has threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def die_with(parent: int, death_signal: int) -> None:
    """Ask the kernel for `death_signal` when `parent` dies; leave at once if it is dead already."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl refused the death signal")
    if os.getppid() != parent:
        sys.exit(1)


def become(uid: int, gid: int) -> None:
    """Give up root for one account, for good."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def main(arguments: list[str]) -> None:
    """Run `parent signal uid gid command …`; -1 keeps the account."""
    parent, death_signal, uid, gid = (int(text) for text in arguments[:4])
    command = arguments[4:]
    if uid >= 0:
        become(uid, gid)
    die_with(parent, death_signal)
    os.umask(0o077)
    # The supervisor waits for its signals with the mask closed, a shell may have it ignore some, and
    # Python ignores SIGPIPE: none of that is for the command.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execv(command[0], command)  # noqa: S606 - a fixed argument list, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
