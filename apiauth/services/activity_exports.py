"""The activity log as a file; that somebody took it stands in the log itself, before the first line goes out."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from apiauth.core import spreadsheet
from apiauth.core.actor import Actor
from apiauth.core.events import Event
from apiauth.models import App
from apiauth.models.activity import ActivityEntry, ActivityEntryQuerySet
from apiauth.services import activity
from apiauth.services.exports import Form, lines_of

_PAGE = 1000
_COLUMNS: Final = (
    "sequence",
    "at",
    "event",
    "key_id",
    "key_name",
    "reason",
    "actor_kind",
    "actor",
    "via",
    "client_ip",
    "details",
    "hash",
)


@dataclass(frozen=True, slots=True)
class ActivitySight:
    """What somebody may see of an entry besides who did what and why."""

    addresses: bool
    details: bool


def export_activity(
    *,
    app: App,
    entries: ActivityEntryQuerySet,
    sight: ActivitySight,
    form: Form,
    asked: Mapping[str, str],
    actor: Actor,
    now: datetime,
    most: int | None = None,
) -> Iterator[str]:
    """Note that somebody takes an app's activity, and return it as lines, the newest first, `most` of them at most.

    `entries` are those that were asked for, of the app's chain. What is done from now on is left out,
    this export too. `asked` is what the entry says of the question.
    """
    details = {"filters": dict(asked), "form": form.value}
    taken = activity.record(
        Event.ACTIVITY_EXPORTED, actor=actor, now=now, deployment_id=app.deployment_id, app_id=app.id, details=details
    )
    rows = (_row(entry, sight, form) for entry in islice(_before(entries, taken.sequence), most))
    return lines_of(rows, [name for name in _COLUMNS if sight.details or name != "details"], form)


def _before(entries: ActivityEntryQuerySet, sequence: int) -> Iterator[ActivityEntry]:
    """Yield entries from a place back, page by page: a cursor of the database would need one transaction throughout."""
    while page := list(entries.filter(sequence__lt=sequence).newest_first()[:_PAGE]):
        yield from page
        sequence = page[-1].sequence


def _row(entry: ActivityEntry, sight: ActivitySight, form: Form) -> dict[str, Any]:
    details = entry.details
    row = {
        "sequence": entry.sequence,
        "at": spreadsheet.moment(entry.at),
        "event": entry.event,
        "key_id": str(entry.key_id) if entry.key_id else None,
        "key_name": details.get("name") if entry.key_id else None,
        "reason": details.get("reason") or None,
        "actor_kind": entry.actor_kind,
        "actor": entry.personal.get("name") or entry.actor_id,
        "via": entry.via,
        "client_ip": entry.personal.get("client_ip") if sight.addresses else None,
        "hash": bytes(entry.hash).hex(),
    }
    if sight.details:
        row["details"] = json.dumps(details, ensure_ascii=False) if form is Form.CSV else details
    return row
