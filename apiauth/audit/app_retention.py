"""Forgets the decisions of apps whose policy keeps them for a shorter time than the installation does.

A day's partition holds all apps, so it cannot be dropped for one: rows go in batches, each in a
short transaction of its own, and a worker drains between some batches and the next.
"""

from datetime import date
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from apiauth.audit.statements import sql
from apiauth.core import clock

BATCH_ROWS = 5_000
MOST_BATCHES = 10
_LOCK = "hashtext('keystead_forget_of_apps')"


def forget_of_apps(connection: psycopg.Connection[Any], today: date | None = None) -> bool:
    """Delete what is due, ten batches at most, and tell whether there may be more.

    An app keeps its last `keep_days` whole days (UTC) and today. Only one worker at a time does
    it; for another there is nothing to do.
    """
    if not _holds(connection, "SELECT pg_try_advisory_lock(" + _LOCK + ")"):
        return False
    try:
        return _forget(connection, today or clock.now().date())
    finally:
        if not connection.broken:
            _holds(connection, "SELECT pg_advisory_unlock(" + _LOCK + ")")


def _forget(connection: psycopg.Connection[Any], today: date) -> bool:
    connection.execute(sql("forget_addresses"), {"today": today, "most": BATCH_ROWS})
    due = connection.execute(sql("due_of_apps"), {"today": today}).fetchall()
    batches = MOST_BATCHES
    for app_id, first, partition in due:
        is_full = True
        while is_full and batches:
            is_full = _forget_batch(connection, app_id, first, partition) == BATCH_ROWS
            batches -= 1
    return bool(due)


def _forget_batch(connection: psycopg.Connection[Any], app_id: int, first: Any, partition: str) -> int:
    statement = SQL(sql("forget_of_app")).format(partition=Identifier(partition))
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '2s'")
        return connection.execute(statement, {"app": app_id, "first": first, "most": BATCH_ROWS}).rowcount


def _holds(connection: psycopg.Connection[Any], question: Any) -> bool:
    answer = connection.execute(question).fetchone()
    return bool(answer and answer[0])
