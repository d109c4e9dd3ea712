"""Makes the days' partitions of the decision table ahead of time, and drops those that have served theirs."""

from datetime import date, timedelta
from typing import Any

import psycopg
import structlog
from psycopg.sql import SQL, Identifier

from apiauth.audit.statements import sql
from apiauth.core import clock

DAYS_AHEAD = 7

log = structlog.get_logger(__name__)


def ensure_partitions(connection: psycopg.Connection[Any], today: date | None = None) -> None:
    """Make the partitions from yesterday to a week ahead that are missing.

    Rows of those days that had to go to the default partition move over. Warns of rows that
    are in the default partition still.
    """
    today = today or clock.now().date()
    days = {"first": today - timedelta(days=1), "last": today + timedelta(days=DAYS_AHEAD)}
    with connection.transaction():
        connection.execute("SET LOCAL lock_timeout = '2s'")
        connection.execute(sql("ensure_partitions"), days)
    strays = connection.execute(sql("strays")).fetchone()
    if strays and strays[0]:
        log.warning("partitions.strays", at_least=strays[0])


def drop_partitions(connection: psycopg.Connection[Any], keep_days: int, today: date | None = None) -> None:
    """Forget the decisions of all days before the last `keep_days` whole ones and today; 0 forgets none.

    A day goes by dropping its table, in a transaction of its own: that takes as long for a million
    decisions as for one. Raises LockNotAvailable where others read for longer than two seconds.
    """
    if not keep_days:
        return
    where = {"first": (today or clock.now().date()) - timedelta(days=keep_days)}
    for (name,) in connection.execute(sql("partitions_before"), where).fetchall():
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '2s'")
            connection.execute(SQL("DROP TABLE IF EXISTS {}").format(Identifier(name)))  # another worker may be faster
        log.info("partitions.dropped", partition=name)
    connection.execute(sql("forget_strays"), where)
