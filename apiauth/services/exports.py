"""What leaves in bulk: each export stands in the activity log before its first line goes out."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from apiauth.core import spreadsheet
from apiauth.core.actor import Actor
from apiauth.core.events import Event
from apiauth.models import Key
from apiauth.models.key import KeyQuerySet
from apiauth.services import activity
from apiauth.services.compliance import Finding, every_found_key
from apiauth.services.finding_words import WORDS

COMPLIANCE_COLUMNS: Final = (
    "deployment_id",
    "app_slug",
    "key_id",
    "name",
    "key",
    "user_id",
    "organization_id",
    "workspace_id",
    "created_at",
    "expires_at",
    "last_used_at",
    "permissions",
    "allowed_cidrs",
    "findings",
    "remedies",
)


def export_compliance(
    *,
    keys: KeyQuerySet,
    finding: Finding | None,
    deployment_id: int | None,
    app_id: int | None,
    actor: Actor,
    now: datetime,
) -> Iterator[str]:
    """Note that somebody takes the keys that deserve a look, and return them as lines of CSV.

    None as the finding is any of them. The entry belongs to the app, the deployment or the installation.
    """
    details = {"finding": finding or "any"}
    where = {"deployment_id": deployment_id, "app_id": app_id}
    activity.record(Event.COMPLIANCE_EXPORTED, actor=actor, now=now, details=details, **where)
    return _compliance_lines(keys, finding, now)


def _compliance_lines(keys: KeyQuerySet, finding: Finding | None, now: datetime) -> Iterator[str]:
    yield spreadsheet.line(COMPLIANCE_COLUMNS)
    for key, findings in every_found_key(keys=keys, finding=finding, now=now):
        yield spreadsheet.line(_compliance_cells(key, findings))


def _compliance_cells(key: Key, findings: list[Finding]) -> list[object]:
    usage = getattr(key, "usage", None)
    return [
        key.deployment_id,
        key.app.slug,
        key.pk,
        key.name,
        f"{key.key_prefix}_…{key.key_suffix}",
        key.user_id,
        key.organization_id,
        key.workspace_id,
        key.created_at,
        key.expires_at,
        usage.last_used_at if usage else None,
        key.permissions,
        key.allowed_cidrs,
        [finding.value for finding in findings],
        [WORDS[finding].remedy for finding in findings],
    ]
