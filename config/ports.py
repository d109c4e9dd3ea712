"""Ports that this installation holds from before its servers start until after they stop."""

import socket

from config.env import EnvironmentProblem

HOST = "127.0.0.1"


def hold(port: int, flag: str, host: str = HOST) -> socket.socket:
    """Return a bound socket that holds `port` (0: a free one) for our own servers.

    Two servers with SO_REUSEPORT would silently share a port, so the first bind is without it: it
    fails where anybody is. Switched on afterwards, it lets in the servers of this user alone, while
    the next such first bind fails here. It never listens, so it takes no connection from them.
    """
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections may linger
        held.bind((host, port))
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        held.close()
        raise EnvironmentProblem(
            f"Port {port} cannot be used ({error.strerror}): choose another with {flag}, or 0 for a free one."
        ) from None
    return held


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
