"""Decisions as a gateway writes them, put into the database as the worker does it."""

import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import connection

from apiauth.audit.drain import Drain
from apiauth.audit.record import Record, new_decision_number
from apiauth.audit.spool import Spool
from apiauth.core import clock
from apiauth.models import RecordedName


def decision(moment: datetime, **fields: Any) -> Record:
    """Return the record of an allowed call; the fields say what differs."""
    values: dict[str, Any] = {
        "id": new_decision_number(clock.to_ms(moment)).to_bytes(16, "big"),
        "deployment_id": 33,
        "app_id": 11,
        "key_id": 22,
        "key_name": "ci",
        "presented_start": None,
        "limits": ["60/60s"],
        "rule": None,
        "blocked_by": fields.get("rule"),
        "method": "GET",
        "path": "/v1/a",
        "client_ip": "203.0.113.9",
        "peer_ip": None,
        "user_agent": "x/1",
        "required_permissions": [],
        "held_permissions": None,
        "left": [59],
        "retry_after": None,
        "snapshot_age_ms": 0,
        "duration_us": 1,
        "node": "test",
    }
    return Record(**{**values, **fields})


def put_on_record(records: Iterable[Record]) -> None:
    """Write records to a spool and drain it over Django's connection, within the test's transaction."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spool = Spool(folder)
        for record in records:
            spool.append(record)
        spool.close()
        with connection.cursor() as cursor:
            # Opens the test's transaction, so that the drain's are savepoints of it, and empties the drain's
            # own tables, which each of its commits would have done.
            cursor.execute("DISCARD TEMP")
        Drain(connection.connection, folder).drain_all()


def name_of(text: str) -> RecordedName:
    """Return a name as decisions refer to it."""
    return RecordedName.objects.get_or_create(text=text)[0]
