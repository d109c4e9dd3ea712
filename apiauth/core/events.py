"""The closed list of what can stand in the activity log; only ever added to."""

from enum import StrEnum


class Event(StrEnum):
    """One management action, named `<thing>.<past participle>`."""

    DEPLOYMENT_CREATED = "deployment.created"
    DEPLOYMENT_EDITED = "deployment.edited"
    BACKEND_KEY_CREATED = "backend_key.created"
    BACKEND_KEY_REVOKED = "backend_key.revoked"
    APP_CREATED = "app.created"
    APP_EDITED = "app.edited"
    APP_POLICY_CHANGED = "app.policy_changed"
    APP_DISABLED = "app.disabled"
    APP_ENABLED = "app.enabled"
    APP_DELETED = "app.deleted"
    SCHEME_CREATED = "rate_limit_scheme.created"
    SCHEME_EDITED = "rate_limit_scheme.edited"
    SCHEME_DELETED = "rate_limit_scheme.deleted"
    KEY_CREATED = "key.created"
    KEY_ROTATED = "key.rotated"
    KEY_OVERLAP_ENDED = "key.overlap_ended"
    KEY_DISABLED = "key.disabled"
    KEY_ENABLED = "key.enabled"
    KEY_REVOKED = "key.revoked"
    KEY_SEARCHED = "key.searched"
    TICKET_ISSUED = "ticket.issued"
    SESSION_OPENED = "session.opened"
    SESSION_ENDED = "session.ended"
    SESSION_DENIED = "session.denied"
    SUBJECT_REMOVED = "subject.removed"
