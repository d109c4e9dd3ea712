"""Whether the log can be taken at its word: how far behind the hosts' workers are."""

from datetime import datetime, timedelta

from django.db import connection

BEHIND = timedelta(minutes=1)  # a worker that restarts is not worth a word


def complete_until() -> datetime:
    """Return up to which moment the decisions of all hosts are in the log."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT keystead_log_complete_until()")
        [moment] = cursor.fetchone()
    found: datetime = moment
    return found


def behind(complete_until: datetime, now: datetime) -> timedelta | None:
    """Return how far behind the log is; None where that is too little to matter."""
    length = now - complete_until
    return length if length > BEHIND else None
