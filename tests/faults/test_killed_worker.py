"""A worker is killed a hundred times in the middle of its transaction: nothing is lost and nothing is doubled."""

import os
import signal
import subprocess
import sys

import pytest

from apiauth.audit.drain import Drain
from tests.db.test_drain import (
    counted,
    record,
    recorded,
    write,
    written,
)
from tests.support.database import dsn
from tests.support.processes import environment_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes, pytest.mark.timeout(120)]

KILLS = 100
RECORDS = 1500
BATCH_BYTES = 1000  # a few records, so that most deaths lie between batches that were committed

# One process has everything imported and forks the victims: a hundred starts of Python would take a minute.
# A victim dies by its own hand in the one place that its turn names, after none, one or two whole batches.
VICTIMS = """
import os, pathlib, signal, sys
import psycopg
from apiauth.audit.drain import Drain
from apiauth.audit.store import Store

address, folder, kills, batch_bytes = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
PLACES = ((Store, "_copy"), (Store, "store"), (Drain, "_advance"), (Drain, "_drain_open"))

def doomed(owner, name, spared):
    whole = getattr(owner, name)
    calls = iter(range(spared, -1, -1))

    def method(*arguments):
        result = whole(*arguments)
        if next(calls) == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, method)

for turn in range(kills):
    child = os.fork()
    if child == 0:
        doomed(*PLACES[turn % 4], spared=turn % 3)
        with psycopg.connect(address, autocommit=True) as connection:
            Drain(connection, folder, batch_bytes).drain_all()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_worker_killed_a_hundred_times_loses_and_doubles_nothing(connection, tmp_path):
    records = [record() for _ in range(RECORDS)]
    write(tmp_path, records)
    ran = subprocess.run(
        [sys.executable, "-c", VICTIMS, dsn(), str(tmp_path), str(KILLS), str(BATCH_BYTES)],
        env=environment_in(tmp_path), capture_output=True, text=True, check=True, timeout=100,
    )  # fmt: skip
    assert ran.stdout.split() == [str(-signal.SIGKILL)] * KILLS
    assert os.listdir(tmp_path), "something was left to do after the last death"
    arrived = recorded(connection)
    assert 0 < len(arrived) < RECORDS
    assert arrived == written(records[: len(arrived)]), "in the order in which they were written, and each once"
    assert counted(connection) == {len(arrived)}, "what was committed is counted, what was not is not"
    Drain(connection, tmp_path).drain_all()
    assert recorded(connection) == written(records)
    assert counted(connection) == {RECORDS}
