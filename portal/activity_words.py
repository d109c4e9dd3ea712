"""The activity log in sentences."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from apiauth.core.events import Event
from apiauth.models import ActivityEntry

DOORS = {
    "portal": "Portal",
    "api": "API",
    "session_api": "Portal API",
    "admin": "Support",
    "command": "Command line",
    "system": "System",
}
ACTIONS: dict[str, str] = {
    Event.APP_CREATED: "created the app",
    Event.APP_EDITED: "changed the app's settings",
    Event.APP_POLICY_CHANGED: "changed the app's policy",
    Event.APP_DISABLED: "paused the app",
    Event.APP_ENABLED: "resumed the app",
    Event.APP_DELETED: "deleted the app",
    Event.KEY_CREATED: "created",
    Event.KEY_ROTATED: "rotated",
    Event.KEY_EDITED: "changed",
    Event.KEY_OVERLAP_EXTENDED: "extended the grace of the old secret of",
    Event.KEY_OVERLAP_SHORTENED: "shortened the grace of the old secret of",
    Event.KEY_OVERLAP_ENDED: "ended the grace of the old secret of",
    Event.KEY_DISABLED: "disabled",
    Event.KEY_ENABLED: "enabled",
    Event.KEY_REVOKED: "revoked",
    Event.KEY_REVOKE_UNDONE: "took back the revoke of",
    Event.KEY_SEARCHED: "searched for a key by its secret",
    Event.KEY_EXPIRING: "gave notice of the coming end of",
    Event.KEY_EXPIRED: "saw the end of",
    Event.KEY_ROTATION_DUE: "asked for the rotation of",
    Event.KEY_ROTATION_OVERDUE: "missed the rotation of",
    Event.MASS_REVOKE_STARTED: "began to revoke many keys",
    Event.MASS_REVOKE_FINISHED: "finished revoking many keys",
    Event.TICKET_ISSUED: "made a link to these pages",
    Event.SESSION_OPENED: "opened these pages",
    Event.SESSION_ENDED: "ended a session",
    Event.SESSION_DENIED: "was refused a change that their role does not allow",
    Event.SUBJECT_REMOVED: "removed a user",
    Event.COMPLIANCE_EXPORTED: "exported the keys that deserve a look",
    Event.DECISIONS_EXPORTED: "exported calls",
    Event.ACTIVITY_EXPORTED: "exported this list",
    Event.TICKET_REFUSED: "was refused: the link was used, or had ended",
}
BY_POLICY = "the app's policy moved its end"

# What a sentence is made of: an entry holds as much again that only proves it.
FIELDS = ("sequence", "event", "at", "key_id", "actor_id", "via", "details", "personal")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One entry as it is read: who did what to which key, why, when and by which door."""

    who: str
    did: str
    what: str
    key_id: str
    why: str
    at: datetime
    door: str
    address: str
    sequence: int


def sentences(entries: Iterable[ActivityEntry], *, with_addresses: bool) -> list[Sentence]:
    """Return entries as sentences, in the order given."""
    return [_sentence(entry, with_addresses) for entry in entries]


def _sentence(entry: ActivityEntry, with_address: bool) -> Sentence:
    details = entry.details
    return Sentence(
        who=entry.personal.get("name") or entry.actor_id,
        did=ACTIONS.get(entry.event, entry.event),
        what=str(details.get("name", "")) if entry.key_id else "",
        key_id=str(entry.key_id) if entry.key_id else "",
        why=str(details.get("reason") or "") or (BY_POLICY if "policy_applies_at" in details else ""),
        at=entry.at,
        door=DOORS.get(entry.via, entry.via),
        address=entry.personal.get("client_ip", "") if with_address else "",
        sequence=entry.sequence,
    )
