"""What became of a removed subject, on the wire."""

from apiauth.http.wire.propagation import PropagatedJson
from apiauth.models import Departure


class RemovedSubjectJson(PropagatedJson):
    """What a removal ended, and what it left."""

    subject_id: str
    sessions_ended: int
    keys_revoked: int
    keys_left: int


def removed_subject_json(departure: Departure) -> RemovedSubjectJson:
    """Return what a removal ended, and what it left."""
    return {
        "subject_id": departure.subject_id,
        "sessions_ended": departure.sessions_ended,
        "keys_revoked": departure.keys_revoked,
        "keys_left": departure.keys_left,
    }
