"""Keystead for Python: hand users over, manage keys, check calls.

`Keystead` is for threads, `AsyncKeystead` for asyncio; both have the same methods. Adapters:
`keystead_client.django`, `.drf`, `.starlette`, `.fastapi`.
"""

from keystead_client.admission import Admission, Incoming, Refusal
from keystead_client.audit_results import (
    Analytics,
    Limit,
    LimitHits,
    LimitStats,
    LogEntry,
    LogPage,
    Point,
    Series,
)
from keystead_client.checks import Question
from keystead_client.client import AsyncKeystead, Keystead
from keystead_client.decisions import Decision, Identity
from keystead_client.errors import (
    ChangedMeanwhile,
    Conflict,
    Invalid,
    KeyAmbiguous,
    KeyMissing,
    KeyProblem,
    KeysteadError,
    NotAllowed,
    NotAuthenticated,
    NotConfigured,
    NotFound,
    Refused,
    SecretLost,
    TooMany,
    Unavailable,
    UnclearAnswer,
)
from keystead_client.options import Subject
from keystead_client.results import (
    App,
    AppPage,
    BlockedAddress,
    BlockedByRule,
    BlockedPath,
    Gateways,
    Impact,
    IssuedKey,
    Key,
    Propagated,
    RateLimitScheme,
    RemovedSubject,
    Rule,
    Ticket,
)
from keystead_client.settings import VERSION as __version__

__all__ = [
    "Admission",
    "Analytics",
    "App",
    "AppPage",
    "AsyncKeystead",
    "BlockedAddress",
    "BlockedByRule",
    "BlockedPath",
    "ChangedMeanwhile",
    "Conflict",
    "Decision",
    "Gateways",
    "Identity",
    "Impact",
    "Incoming",
    "Invalid",
    "IssuedKey",
    "Key",
    "KeyAmbiguous",
    "KeyMissing",
    "KeyProblem",
    "Keystead",
    "KeysteadError",
    "Limit",
    "LimitHits",
    "LimitStats",
    "LogEntry",
    "LogPage",
    "NotAllowed",
    "NotAuthenticated",
    "NotConfigured",
    "NotFound",
    "Point",
    "Propagated",
    "Question",
    "RateLimitScheme",
    "Refusal",
    "Refused",
    "RemovedSubject",
    "Rule",
    "SecretLost",
    "Series",
    "Subject",
    "Ticket",
    "TooMany",
    "Unavailable",
    "UnclearAnswer",
    "__version__",
]
