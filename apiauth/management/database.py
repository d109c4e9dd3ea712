"""Brings the database to this version, by one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.conf import settings
from django.core.management import call_command
from django.core.management.commands.migrate import Command as Migrate
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from apiauth.core.errors import Unavailable

_LOCK = 0x6B65797374656164  # "keystead"


@contextmanager
def in_turn() -> Iterator[None]:
    """Hold the lock that lets one process migrate at a time. Raises Unavailable where there is no database."""
    try:
        lock = psycopg.connect(settings.ENVIRONMENT.direct_database_url, autocommit=True)
    except psycopg.OperationalError:
        raise Unavailable("The database cannot be reached: start it, or correct DATABASE_URL.") from None
    with lock:
        lock.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        yield


def take_as_long_as_it_takes() -> None:
    """Lift the bound on statements: a migration may take longer than a request."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")


def migrate() -> None:
    """Apply what is not applied yet, without a word."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        take_as_long_as_it_takes()
        call_command(Migrate(), interactive=False, verbosity=0)
