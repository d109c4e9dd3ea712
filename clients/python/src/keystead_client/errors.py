"""Everything that can go wrong, drawn as one tree.

KeysteadError
├── NotConfigured      this client was not told an address or a key that the call needs
├── Unavailable        no answer in time, or 502, 503, 504: Keystead cannot answer just now
├── UnclearAnswer      an answer that is not Keystead's: a page, a redirect, a 500, half a body
├── SecretLost         the key is made, but its secret was lost with the first answer
├── KeyProblem         the caller of the product presented no usable key
│   ├── KeyMissing     401
│   └── KeyAmbiguous   401
└── Refused            Keystead understood, and said no
    ├── Invalid           400, 413, 422 and every other 4xx
    ├── NotAuthenticated  401  the backend key
    ├── NotAllowed        403
    ├── NotFound          404
    ├── Conflict          409
    ├── ChangedMeanwhile  412
    └── TooMany           429

No message ever holds a key, a ticket or what was sent.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keystead_client.results import Key


class KeysteadError(Exception):
    """Something went wrong with Keystead."""

    code = "error"
    status: int | None = None

    def __init__(
        self,
        message: str | None = None,
        *,
        code: str | None = None,
        status: int | None = None,
        field: str | None = None,
        request_id: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        self.code = code or self.code
        self.status = status if status is not None else self.status
        self.field = field
        self.request_id = request_id
        self.retry_after = retry_after  # whole seconds
        super().__init__(self.message)


class NotConfigured(KeysteadError):
    """This client was not told what the call needs."""

    code = "not_configured"


class Unavailable(KeysteadError):
    """Keystead cannot answer just now."""

    code = "unavailable"
    status = 503


class UnclearAnswer(KeysteadError):
    """The answer is not one of Keystead's."""

    code = "unclear_answer"


class SecretLost(KeysteadError):
    """The key was made, but its secret was lost with the first answer: rotate the key to get a new one."""

    code = "secret_lost"

    def __init__(self, key: "Key") -> None:
        self.key = key
        super().__init__()


class KeyProblem(KeysteadError):
    """No usable key was presented."""

    code = "key_missing"
    status = 401


class KeyMissing(KeyProblem):
    """Send your API key: `Authorization: Bearer <key>`, or `X-API-Key: <key>`."""


class KeyAmbiguous(KeyProblem):
    """Two different keys were presented. Send one."""

    code = "key_ambiguous"


class Refused(KeysteadError):
    """Keystead refused this."""


class Invalid(Refused):
    """What was sent cannot be used."""

    code = "invalid"


class NotAuthenticated(Refused):
    """Keystead does not know this backend key."""

    code = "not_authenticated"


class NotAllowed(Refused):
    """This backend key may not do this."""

    code = "not_allowed"


class NotFound(Refused):
    """There is no such thing here."""

    code = "not_found"


class Conflict(Refused):
    """This does not fit the present state."""

    code = "conflict"


class ChangedMeanwhile(Refused):
    """This was changed since you read it."""

    code = "changed_meanwhile"


class TooMany(Refused):
    """Too many requests in a short time."""

    code = "too_many"


REFUSALS: dict[int, type[Refused]] = {
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    412: ChangedMeanwhile,
    429: TooMany,
}
