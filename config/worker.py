"""The worker process: drains the spool, keeps the partitions, forgets what is due. The drain knows no
Django; what is done once for the whole installation does, in a thread beside it."""

import argparse
import os
import signal
import threading
from pathlib import Path

from config import chores, env, logs
from config.processes import write_report


def main(arguments: list[str]) -> int:
    """Run the worker until SIGTERM or SIGINT."""
    argparse.ArgumentParser(prog="./keystead worker", allow_abbrev=False).parse_args(arguments[1:])
    environment = env.load()
    logs.configure()
    from apiauth.audit import worker

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    chores.start(environment, stop)
    worker.run(environment, stop, _report)
    return 0


def _report() -> None:
    if report := os.environ.get("KEYSTEAD_READY_REPORT"):
        write_report(Path(report))
