"""One lock for all processes of a host, in memory that they share, that goes with a process which is killed.

It is a robust process-shared mutex of POSIX threads: the kernel gives it on when its holder
dies. Taken without contention it costs no system call, and the interpreter's own lock is kept,
so that no other thread of this process is waited for. Where the system has no such mutex, a
byte-range lock of the shared file stands in: it goes with its process too, and costs six times as much.
"""

import ctypes
import errno
import fcntl
import mmap
import sys
import threading
from collections.abc import Callable
from typing import Any, Protocol

HAS_ROBUST_MUTEX = sys.platform == "linux"
MUTEX_BYTES = 64  # more than any system's pthread_mutex_t
_ATTRIBUTE_BYTES = 64
_PROCESS_SHARED = 1
_ROBUST = 1
_TRIES = 20  # of about 0.2 µs: the lock is held for a few microseconds


class HostLock(Protocol):
    """Excludes every other thread of every process that has the same file mapped."""

    def acquire(self) -> None:
        """Take the lock. The thread that takes it has to release it."""

    def release(self) -> None:
        """Give the lock on."""

    def close(self) -> None:
        """Let go of the mapped memory, so that it can be closed."""


def host_lock(memory: mmap.mmap, offset: int, descriptor: int, *, is_first: bool) -> HostLock:
    """Return the lock that lies at an offset of a mapped file.

    `is_first` says that no other process has the file in use, and none can come to it before
    this returns: what a machine that crashed has left of the lock is then made anew.
    """
    if HAS_ROBUST_MUTEX:
        return _RobustMutex(memory, offset, is_first=is_first)
    return _ByteRangeLock(descriptor)


class _RobustMutex:
    """A mutex with PTHREAD_PROCESS_SHARED and PTHREAD_MUTEX_ROBUST (POSIX.1-2008)."""

    def __init__(self, memory: mmap.mmap, offset: int, *, is_first: bool) -> None:
        holding = ctypes.PyDLL(None)  # calls that keep the interpreter's lock
        releasing = ctypes.CDLL(None)
        self._view = (ctypes.c_char * MUTEX_BYTES).from_buffer(memory, offset)
        self._mutex = ctypes.c_void_p(ctypes.addressof(self._view))
        if is_first:
            _initialise(holding, self._mutex)
        self._try = _function(holding.pthread_mutex_trylock)
        self._wait = _function(releasing.pthread_mutex_lock)
        self._recover = _function(holding.pthread_mutex_consistent)
        self._unlock = _function(holding.pthread_mutex_unlock)

    def acquire(self) -> None:
        problem = self._try(self._mutex)
        if problem:
            self._acquire_slowly(problem)

    def _acquire_slowly(self, problem: int) -> None:
        for _ in range(_TRIES):
            if problem != errno.EBUSY:
                break
            problem = self._try(self._mutex)
        if problem == errno.EBUSY:
            problem = self._wait(self._mutex)
        if problem == errno.EOWNERDEAD:
            problem = self._recover(self._mutex)
        if problem:
            raise OSError(problem, "the lock of the limits cannot be taken")

    def release(self) -> None:
        self._unlock(self._mutex)

    def close(self) -> None:
        del self._view


def _function(function: Any) -> Callable[[ctypes.c_void_p], int]:
    function.argtypes = (ctypes.c_void_p,)
    function.restype = ctypes.c_int
    typed: Callable[[ctypes.c_void_p], int] = function
    return typed


def _initialise(library: ctypes.PyDLL, mutex: ctypes.c_void_p) -> None:
    attributes = ctypes.create_string_buffer(_ATTRIBUTE_BYTES)
    steps = (
        library.pthread_mutexattr_init(attributes),
        library.pthread_mutexattr_setpshared(attributes, _PROCESS_SHARED),
        library.pthread_mutexattr_setrobust(attributes, _ROBUST),
        library.pthread_mutex_init(mutex, attributes),
    )
    if any(steps):
        raise OSError(max(steps), "this system has no robust mutex that processes share")


class _ByteRangeLock:
    """A lock on the file's first byte, with one of threads in front, which do not exclude each other by it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._threads = threading.Lock()

    def acquire(self) -> None:
        self._threads.acquire()
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1)

    def release(self) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1)
        self._threads.release()

    def close(self) -> None:
        """Do nothing: the lock goes with the descriptor."""
