"""The lock of a host excludes, and goes with whoever held it, however that ended."""

import fcntl
import mmap
import multiprocessing
import os
import signal
import threading

import pytest

from apiauth.verify import host_lock as module
from apiauth.verify.host_lock import MUTEX_BYTES, host_lock

BYTES = 4096
NEEDS_MUTEX = pytest.mark.skipif(not module.HAS_ROBUST_MUTEX, reason="this system has no robust mutex")
KINDS = [pytest.param(True, marks=NEEDS_MUTEX, id="robust mutex"), pytest.param(False, id="byte range")]


class Opened:
    """The lock of a file, and a count in the file that only its holder changes."""

    def __init__(self, path, *, is_first=False):
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self.descriptor, BYTES)
        self.memory = mmap.mmap(self.descriptor, BYTES)
        self.lock = host_lock(self.memory, 64, self.descriptor, is_first=is_first)

    def acquire(self):
        if problem := self.lock.try_acquire():
            self.lock.acquire(problem)

    def count(self):
        return int.from_bytes(self.memory[1024:1032], "little")

    def add(self, times):
        for _ in range(times):
            self.acquire()
            self.memory[1024:1032] = (self.count() + 1).to_bytes(8, "little")
            self.lock.release()

    def close(self):
        self.lock.close()
        self.memory.close()
        os.close(self.descriptor)


@pytest.fixture(params=KINDS)
def kind(request, monkeypatch):
    monkeypatch.setattr(module, "HAS_ROBUST_MUTEX", request.param)
    return request.param


def _add_from_threads(kind, path, times):
    module.HAS_ROBUST_MUTEX = kind
    opened = Opened(path)
    threads = [threading.Thread(target=opened.add, args=(times,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _die_with_the_lock(kind, path):
    module.HAS_ROBUST_MUTEX = kind
    opened = Opened(path)
    opened.acquire()
    os.kill(os.getpid(), signal.SIGKILL)


def _run(target, *arguments, count=1):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=target, args=arguments) for _ in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def test_threads_of_processes_never_hold_it_together(kind, tmp_path):
    opened = Opened(tmp_path / "file", is_first=True)
    assert _run(_add_from_threads, kind, tmp_path / "file", 3_000, count=3) == [0, 0, 0]
    assert opened.count() == 3 * 3 * 3_000
    opened.close()


def test_it_goes_with_a_process_that_is_killed(kind, tmp_path):
    opened = Opened(tmp_path / "file", is_first=True)
    for _ in range(3):
        assert _run(_die_with_the_lock, kind, tmp_path / "file") == [-signal.SIGKILL]
        opened.add(1)
    assert opened.count() == 3
    opened.close()


def test_a_thread_waits_for_another_one_of_its_process(kind, tmp_path):
    opened = Opened(tmp_path / "file", is_first=True)
    opened.acquire()
    other = threading.Thread(target=opened.add, args=(1,))
    other.start()
    assert opened.count() == 0
    opened.lock.release()
    other.join(10)
    assert opened.count() == 1
    opened.close()


@NEEDS_MUTEX
def test_the_first_to_use_a_file_makes_anew_what_a_crashed_machine_left_locked(tmp_path):
    opened = Opened(tmp_path / "file", is_first=True)
    opened.acquire()
    left = opened.memory[64 : 64 + MUTEX_BYTES]
    opened.lock.release()
    opened.close()
    with (tmp_path / "file").open("r+b") as file:
        file.seek(64)
        file.write(left)
        fcntl.flock(file, fcntl.LOCK_EX)
    again = Opened(tmp_path / "file", is_first=True)
    again.add(1)
    assert again.count() == 1
    again.close()
