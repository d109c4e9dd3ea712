"""Makes the days' partitions of the decision table ahead of time; one worker at a time."""

from datetime import date, timedelta
from typing import Any

import psycopg
import structlog

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
