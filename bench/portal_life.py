"""What an app's pages have to show: a week of calls with its newest keys, ends that are near, and what was done."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from apiauth.models import App, Key

DAYS = 7
CALLS_OF_THE_NEWEST = 4 * 24 * DAYS  # one each quarter of an hour, so its page has more of them than it shows
CALLS_OF_OTHERS = 4 * DAYS
ENDING = 3
EDITS = 20
RULES = (None, None, None, "rate_limited", None, None, None, None, "permission_denied", None)


def live(app: "App", keys: "Sequence[Key]", now: datetime) -> None:
    """Fill the pages of an app whose newest keys these are, the newest first."""
    from apiauth.core.actor import Actor
    from apiauth.core.events import Event
    from apiauth.services import activity

    person = Actor(kind="subject", id="bench", name="Bench", via="portal", client_ip="203.0.113.9")
    about: dict[str, Any] = {"actor": person, "app_id": app.id, "deployment_id": app.deployment_id}
    events = [(Event.KEY_CREATED, key) for key in reversed(keys)] + [(Event.KEY_EDITED, keys[0])] * EDITS
    for minutes, (event, key) in enumerate(events):
        moment = now - timedelta(days=1) + timedelta(minutes=minutes)
        activity.record(event, key_id=key.pk, details={"name": key.name}, now=moment, **about)
    ending = [key.pk for key in keys[1 : ENDING + 1]]
    app.keys.filter(pk__in=ending).update(expires_at=now + timedelta(days=5))
    _put_on_record(_calls(app, keys, now))


def _calls(app: "App", keys: "Sequence[Key]", now: datetime) -> Iterator[Any]:
    from apiauth.audit.record import Record, new_decision_number
    from apiauth.core import clock

    for key in keys:
        count = CALLS_OF_THE_NEWEST if key is keys[0] else CALLS_OF_OTHERS
        for number in range(count):
            rule = RULES[number % len(RULES)]
            moment = now - timedelta(days=DAYS) * (number + 0.5) / count
            yield Record(
                id=new_decision_number(clock.to_ms(moment)).to_bytes(16, "big"),
                deployment_id=app.deployment_id, app_id=app.id, key_id=key.pk, key_name=key.name,
                presented_start=None, rule=rule, blocked_by="1000/60s" if rule == "rate_limited" else rule,
                method="GET", path=f"/v2/regions/eu-{number % 7}/routes/{number}", client_ip="203.0.113.9",
                peer_ip="10.0.0.4", user_agent="northwind-python/2.4 (linux)", required_permissions=["read:x"],
                held_permissions=None, limits=["1000/60s"], left=[959], retry_after=None,
                snapshot_age_ms=412, duration_us=31, node="gateway-1.internal",
            )  # fmt: skip


def _put_on_record(records: Iterator[Any]) -> None:
    from apiauth.audit.drain import Drain
    from apiauth.audit.partitions import ensure_partitions
    from apiauth.audit.spool import Spool
    from apiauth.core import clock

    today = clock.now().date()
    with tempfile.TemporaryDirectory() as folder, psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.autocommit = True
        ensure_partitions(connection, today=today - timedelta(days=DAYS - 1))
        spool = Spool(Path(folder))
        spool.append_all(records)
        spool.close()
        Drain(connection, Path(folder)).drain_all()
