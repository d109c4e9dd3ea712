"""Forgets what has served its time.

Spent tickets, form tokens, answers kept for repeated calls, finished spool files, gateways and
workers that are gone, leases of windows that are over, counts by the minute.
"""

from typing import Any

import psycopg

from apiauth.audit.statements import sql

SPENT = (
    "forget_tickets",
    "forget_form_tokens",
    "forget_idempotent_answers",
    "forget_files",
    "forget_gateways",
    "forget_workers",
    "forget_leases",
    "forget_minutes",
)


def forget_spent(connection: psycopg.Connection[Any]) -> None:
    """Delete what is due, each kind in a transaction of its own."""
    for statement in SPENT:
        with connection.transaction():
            connection.execute("SET LOCAL lock_timeout = '2s'")
            connection.execute(sql(statement))
