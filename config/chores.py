"""What is done once for the whole installation, beside a worker's drain: warnings of keys, their mails, mass revokes.

Every host runs a worker; the one that holds the advisory lock does the chores. They run in a thread
of their own, with Django, so that nothing of them can hold up the drain.
"""

import os
import threading
import time
from typing import Any

import psycopg
import structlog

from apiauth.audit.connection import connect
from config.env import Environment

ROUND_SECONDS = 2.0
WARNINGS_SECONDS = 3600.0
LOCK = 0x6B65797374_01  # "keyst", the first of its kind

log = structlog.get_logger(__name__)


def start(environment: Environment, stop: threading.Event) -> threading.Thread:
    """Start the thread; it ends soon after `stop` is set, and with the process in any case."""
    thread = threading.Thread(target=_run, args=(environment, stop), name="chores", daemon=True)
    thread.start()
    return thread


def _run(environment: Environment, stop: threading.Event) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    while not stop.is_set():
        try:
            with connect(environment.direct_database_url, name="keystead-chores") as lock:
                _while_locked(lock, environment, stop)
        except (psycopg.Error, OSError) as error:
            log.error("chores.interrupted", error=str(error), kind=type(error).__name__)
        except Exception as error:  # the loop of its own thread: it says so, without words that it does not know
            log.error("chores.failed", kind=type(error).__name__, cause=type(error.__cause__).__name__)
        _let_go()
        stop.wait(ROUND_SECONDS)


def _let_go() -> None:
    """Close this thread's way into the database, in whatever state it is."""
    from django.db import connections

    connections.close_all()


def _while_locked(lock: psycopg.Connection[Any], environment: Environment, stop: threading.Event) -> None:
    """Do the chores round after round, for as long as the lock's own connection lives; return where another has it."""
    row = lock.execute("SELECT pg_try_advisory_lock(%s)", [LOCK]).fetchone()
    if row is None or not row[0]:
        return
    next_warnings = 0.0
    while not stop.is_set():
        lock.execute("SELECT 1")
        _revoke(stop)  # before all that can fail or wait
        if time.monotonic() >= next_warnings:
            _warn(environment)  # at once where a worker takes over: whatever was told is not told again
            next_warnings = time.monotonic() + WARNINGS_SECONDS
        _mail(environment)
        _let_go()
        stop.wait(ROUND_SECONDS)


def _warn(environment: Environment) -> None:
    from apiauth.core import clock
    from apiauth.services import key_warnings

    told = key_warnings.tell_all(now=clock.now(), mails=environment.email is not None)
    if told:
        log.info("chores.warned", warnings=told)


def _mail(environment: Environment) -> None:
    from apiauth.core import clock
    from apiauth.services import mails

    if environment.email is not None and mails.has_due(now=clock.now()):
        log.info("chores.mailed", mails=mails.send_due(now=clock.now()))


def _revoke(stop: threading.Event) -> None:
    from apiauth.core import clock
    from apiauth.services import mass_revoke

    while not stop.is_set() and mass_revoke.run_unfinished(now=clock.now()):
        pass
