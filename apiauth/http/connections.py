"""The connections that this very process has accepted, as the kernel knows them: the server does not tell."""

import os
import socket
import stat
from contextlib import ExitStack, suppress


def listening_ports() -> set[int]:
    """Return the ports that this process listens on."""
    with ExitStack() as stack:
        return {port for each in _copies(stack) if _is_listening(each) and (port := _port(each))}


def accepted(ports: set[int], stack: ExitStack) -> list[socket.socket]:
    """Return a copy of the socket of each connection to these ports of ours; the stack closes the copies alone."""
    return [each for each in _copies(stack) if _port(each) in ports and not _is_listening(each)]


def count(ports: set[int]) -> int:
    """Return how many connections to these ports of ours are open."""
    with ExitStack() as stack:
        return len(accepted(ports, stack))


def stop_accepting() -> None:
    """Leave those who connect from now on to the other processes that share our listening socket.

    To close it is the server's part, which does so only as it ends. So a socket that nobody can
    connect to takes its place under the same number, and the server finds it always empty. The
    real one stays open in its other holders, and with it the queue of those who have just connected.
    """
    with socket.socket(socket.AF_UNIX) as empty, ExitStack() as stack:
        empty.bind("")  # a name that the kernel chooses, in no folder
        empty.listen()
        empty.setblocking(False)
        for descriptor, each in _own_sockets():
            stack.enter_context(each)
            if _is_listening(each) and _port(each):
                os.dup2(empty.fileno(), descriptor, inheritable=False)


def _copies(stack: ExitStack) -> list[socket.socket]:
    return [stack.enter_context(each) for _, each in _own_sockets()]


def _own_sockets() -> list[tuple[int, socket.socket]]:
    """Return the number and a copy of each socket of this process."""
    found = []
    for descriptor in map(int, os.listdir("/dev/fd")):
        with suppress(OSError):  # it was closed meanwhile
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                found.append((descriptor, socket.socket(fileno=os.dup(descriptor))))
    return found


def _is_listening(each: socket.socket) -> bool:
    return bool(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _port(each: socket.socket) -> int | None:
    return each.getsockname()[1] if each.family in (socket.AF_INET, socket.AF_INET6) else None
