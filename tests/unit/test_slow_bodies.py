"""A gateway frees itself only where every thread waits for a body, and has for too long."""

import socket
import threading
from contextlib import contextmanager

import pytest

from apiauth.http.slow_bodies import SlowBodies, cut_callers_off


def read(connection):
    connection.sendall(b"x")  # from here on, the thread is in this call
    return connection.recv(1)


@contextmanager
def waiting(count):
    """Let so many threads wait in `read`, as for the rest of a body, until the block ends."""
    readers = []
    writers = []
    for _ in range(count):
        reader, writer = socket.socketpair()
        readers.append((threading.Thread(target=read, args=(reader,)), reader))
        writers.append(writer)
        readers[-1][0].start()
        writer.recv(1)
    try:
        yield
    finally:
        for writer in writers:
            writer.close()
        for thread, reader in readers:
            thread.join()
            reader.close()


@pytest.fixture
def watch():
    return SlowBodies(read, threads=2, seconds=10)


def test_all_threads_in_one_call_for_too_long_are_all_held(watch):
    with waiting(2):
        assert not watch.are_all_held(100)
        assert not watch.are_all_held(109)
        assert watch.are_all_held(110)


def test_threads_that_were_in_other_calls_have_not_waited(watch):
    with waiting(2):
        assert not watch.are_all_held(100)
    with waiting(2):
        assert not watch.are_all_held(110)


def test_one_thread_that_is_free_is_enough(watch):
    with waiting(1):
        watch.are_all_held(100)
        assert not watch.are_all_held(200)


def test_only_connections_that_were_accepted_are_cut():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as elsewhere:
        ours = socket.create_connection(elsewhere.getsockname())
        caller = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        peer, _ = elsewhere.accept()
        elsewhere.close()  # as if another process listened there
        with ours, caller, accepted, peer:
            assert cut_callers_off() >= 1
            assert caller.recv(1) == b""
            ours.sendall(b"x")
            assert peer.recv(1) == b"x"
            again = socket.create_connection(server.getsockname())
            again.close()
