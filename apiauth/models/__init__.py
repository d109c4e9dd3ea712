"""One file an aggregate; fields, constraints, and questions that need no query."""

from apiauth.models.activity import ActivityChain, ActivityEntry
from apiauth.models.app import App
from apiauth.models.audit import (
    AppMinuteRollup,
    AppRollup,
    DecisionRollup,
    GatewayStatus,
    KeyDayRollup,
    KeyPathRollup,
    KeyUsage,
    MinuteRollup,
    PathRollup,
    SpoolFile,
)
from apiauth.models.decision import Decision, RecordedName
from apiauth.models.departure import Departure
from apiauth.models.deployment import BackendKey, Deployment
from apiauth.models.idempotency import IdempotentAnswer
from apiauth.models.installation import PepperCheck
from apiauth.models.key import FormToken, Key, KeyStatus
from apiauth.models.limit import RateLimitScheme
from apiauth.models.mass_revoke import MassRevoke
from apiauth.models.planned_end import PlannedEnd
from apiauth.models.session import Session
from apiauth.models.ticket import Ticket
from apiauth.models.warning import KeyWarning

__all__ = [
    "ActivityChain",
    "ActivityEntry",
    "App",
    "AppMinuteRollup",
    "AppRollup",
    "BackendKey",
    "Decision",
    "DecisionRollup",
    "Departure",
    "Deployment",
    "FormToken",
    "GatewayStatus",
    "IdempotentAnswer",
    "Key",
    "KeyDayRollup",
    "KeyPathRollup",
    "KeyStatus",
    "KeyUsage",
    "KeyWarning",
    "MassRevoke",
    "MinuteRollup",
    "PathRollup",
    "PepperCheck",
    "PlannedEnd",
    "RateLimitScheme",
    "RecordedName",
    "Session",
    "SpoolFile",
    "Ticket",
]
