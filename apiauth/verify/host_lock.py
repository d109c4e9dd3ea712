"""One lock for all processes of a host, in memory that they share, that goes with a process which is killed.

It is a robust process-shared mutex of POSIX threads: the kernel gives it on when its holder
dies. Taken without contention it costs no system call, and the interpreter's own lock is kept,
so that no other thread of this process is waited for. Where none can be made (macOS, or a C library
or kernel that refuses), a byte-range lock of the shared file stands in: dearer, and it goes with its process too.
"""

import ctypes
import errno
import fcntl
import mmap
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

MUTEX_BYTES = 64  # more than any system's pthread_mutex_t
_ATTRIBUTE_BYTES = 64
_PROCESS_SHARED = 1
_ROBUST = 1
_TRIES = 20  # of about 0.2 µs: the lock is held for a few microseconds


class HostLock(Protocol):
    """Excludes every other thread of every process that has the same file mapped.

    The thread that takes it has to release it. What is called for each check is no method, but
    a function of C where that can be: a call less.
    """

    try_acquire: Callable[[], int]
    """Takes the lock if that can be done at once; returns 0 then, else what stands in the way."""
    release: Callable[[], object]
    """Gives the lock on."""

    def acquire(self, problem: int) -> None:
        """Take the lock in spite of what `try_acquire` has returned. Raises OSError."""

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
        mutex = ctypes.c_void_p(ctypes.addressof(self._view))
        if is_first:
            _initialise(holding, mutex)
        self.try_acquire = _function(holding.pthread_mutex_trylock, mutex)
        self.release: Callable[[], object] = _function(holding.pthread_mutex_unlock, mutex)
        self._wait = _function(releasing.pthread_mutex_lock, mutex)
        self._recover = _function(holding.pthread_mutex_consistent, mutex)

    def acquire(self, problem: int) -> None:
        for _ in range(_TRIES):
            if problem != errno.EBUSY:
                break
            problem = self.try_acquire()
        if problem == errno.EBUSY:
            problem = self._wait()
        if problem == errno.EOWNERDEAD:
            problem = self._recover()
        if problem:
            raise OSError(problem, "the lock of the limits cannot be taken")

    def close(self) -> None:
        del self._view


def _function(function: Any, mutex: ctypes.c_void_p) -> Callable[[], int]:
    function.argtypes = (ctypes.c_void_p,)
    function.restype = ctypes.c_int
    return partial(function, mutex)


def _initialise(library: ctypes.PyDLL, mutex: "ctypes.c_void_p | ctypes.Array[ctypes.c_char]") -> None:
    attributes = ctypes.create_string_buffer(_ATTRIBUTE_BYTES)
    steps = (
        library.pthread_mutexattr_init(attributes),
        library.pthread_mutexattr_setpshared(attributes, _PROCESS_SHARED),
        library.pthread_mutexattr_setrobust(attributes, _ROBUST),
        library.pthread_mutex_init(mutex, attributes),
    )
    if any(steps):
        raise OSError(max(steps), "this system has no robust mutex that processes share")


def _has_robust_mutex() -> bool:
    """Tell whether one can be made: the same for all processes of a host, as they have one C library and kernel."""
    if sys.platform != "linux":  # the constants above are those of glibc and musl
        return False
    try:
        _initialise(ctypes.PyDLL(None), ctypes.create_string_buffer(MUTEX_BYTES))
    except (AttributeError, OSError):
        return False
    return True


class _ByteRangeLock:
    """A lock on the file's first byte, with one of threads in front, which do not exclude each other by it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._threads = threading.Lock()
        self.try_acquire = self._acquire
        self.release: Callable[[], object] = self._release

    def acquire(self, problem: int) -> None:
        raise OSError(problem, "the lock of the limits cannot be taken")

    def _acquire(self) -> int:
        self._threads.acquire()
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX, 1)
        except OSError as error:
            self._threads.release()
            return error.errno or errno.ENOLCK
        return 0

    def _release(self) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1)
        self._threads.release()

    def close(self) -> None:
        """Do nothing: the lock goes with the descriptor."""


HAS_ROBUST_MUTEX = _has_robust_mutex()
