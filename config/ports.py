"""Ports that this installation holds from before its servers start until after they stop."""

import os
import socket

from config.env import EnvironmentProblem

HOST = "127.0.0.1"


def hold(port: int, flag: str, host: str = HOST) -> socket.socket:
    """Return a bound socket that holds `port` (0: a free one) for our own servers, which inherit it.

    All servers of one port take from this one socket: whoever connects is answered by any of them,
    and waits in its queue while one takes over from another. It listens once the first of them does.
    """
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections may linger
        held.bind((host, port))
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)  # nobody else binds it while nobody listens
    except OSError as error:
        held.close()
        raise EnvironmentProblem(
            f"Port {port} cannot be used ({error.strerror}): choose another with {flag}, or 0 for a free one."
        ) from None
    return held


def let_linger(descriptor: int) -> None:
    """Let a port be held anew while connections of its servers linger; for when it is about to listen.

    A connection inherits this from the socket that accepted it, and keeps it for the minute
    that the kernel remembers it after its end.
    """
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def number(held: socket.socket) -> int:
    """Return the port that a socket holds."""
    return int(held.getsockname()[1])


def free() -> int:
    """Return a port that nobody uses now, for a server that cannot share one."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return number(probe)


def answers(port: int, path: str) -> bool:
    """Tell whether a GET of this path on our host is answered with 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(request.encode())
            line = connection.makefile("rb").readline(100)
    except OSError:
        return False
    return line.split(b" ")[1:2] == [b"200"]
