"""Ends a connection whose other end has fallen silent: whoever waits for it gets an error instead."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def shut_down(descriptor: int) -> None:
    """End the connection behind a descriptor, which stays its owner's to close."""
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as copy:  # it may be gone already
        copy.shutdown(socket.SHUT_RDWR)


@contextmanager
def patience(descriptor: int, seconds: float) -> Iterator[None]:
    """End the connection behind a descriptor where the block is not over within so many seconds.

    The server's own time-outs are of no use where nothing of it arrives, as behind a pooler that hangs.
    """
    timer = threading.Timer(seconds, shut_down, [descriptor])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
