"""Every refusal that a caller can meet, drawn as one tree.

KeysteadError
├── Invalid                400  what was sent cannot be read or breaks a rule
├── NotAuthenticated       401
│   └── TicketRefused      401  unknown, used and expired alike
├── NotAllowed             403
├── NotFound               404
├── Conflict               409
│   ├── KeyNotActive       409
│   ├── KeyAlreadyRevoked  409
│   ├── AlreadySubmitted   409
│   ├── InFlight           409
│   └── SlugTaken          409
├── ChangedMeanwhile       412
├── TooLarge               413
├── Unprocessable          422
│   └── OtherBody          422
├── TooMany                429
└── Unavailable            503

The docstring is the public sentence, `code` the machine's word; internal detail goes to the
log, never into the message.
"""

from typing import Any


class KeysteadError(Exception):
    """Something went wrong."""

    code = "error"
    status = 500

    def __init__(self, message: str | None = None, *, field: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.field = field
        self.details: dict[str, Any] = {}  # what an answer tells besides the field at fault
        super().__init__(self.message)


class Invalid(KeysteadError):
    """The request cannot be understood."""

    code = "invalid"
    status = 400


class NotAuthenticated(KeysteadError):
    """Sign in or send a valid credential."""

    code = "not_authenticated"
    status = 401


class TicketRefused(NotAuthenticated):
    """This ticket is unknown, has been used or has expired."""

    code = "ticket_refused"


class NotAllowed(KeysteadError):
    """Your access does not allow this."""

    code = "not_allowed"
    status = 403


class NotFound(KeysteadError):
    """There is no such thing here."""

    code = "not_found"
    status = 404


class Conflict(KeysteadError):
    """This does not fit the present state."""

    code = "conflict"
    status = 409


class KeyNotActive(Conflict):
    """This key is revoked, rotated, disabled or expired."""

    code = "key_not_active"


class KeyAlreadyRevoked(Conflict):
    """This key is already revoked."""

    code = "key_already_revoked"


class AlreadySubmitted(Conflict):
    """This key was already created. Its secret was shown once; rotate the key to get a new one."""

    code = "already_submitted"


class InFlight(Conflict):
    """A request with this Idempotency-Key is being carried out just now. Try again shortly."""

    code = "in_flight"


class SlugTaken(Conflict):
    """This slug is already taken; a deleted app keeps its slug."""

    code = "conflict"


class ChangedMeanwhile(KeysteadError):
    """This was changed since you read it. Read it again, and send its new ETag as If-Match."""

    code = "changed_meanwhile"
    status = 412


class TooLarge(KeysteadError):
    """The request body is too large."""

    code = "too_large"
    status = 413


class Unprocessable(KeysteadError):
    """The request is understood and cannot be carried out."""

    code = "unprocessable"
    status = 422


class OtherBody(Unprocessable):
    """This Idempotency-Key was sent before with another body. Use a new one for a new request."""

    code = "idempotency_key_reused"


class TooMany(KeysteadError):
    """Too many requests in a short time."""

    code = "too_many"
    status = 429

    def __init__(self, message: str | None = None, *, field: str | None = None, retry_after: int = 60) -> None:
        """Take how many seconds to wait."""
        super().__init__(message, field=field)
        self.retry_after = retry_after


class Unavailable(KeysteadError):
    """Keystead cannot answer just now. Try again shortly."""

    code = "unavailable"
    status = 503
