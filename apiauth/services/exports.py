"""What leaves in bulk: each export stands in the activity log before its first line goes out."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import chain, islice
from typing import Any, Final
from uuid import UUID

from apiauth.audit import search
from apiauth.audit.search import DecisionFilters, DecisionRow
from apiauth.core import spreadsheet
from apiauth.core.actor import Actor
from apiauth.core.events import Event
from apiauth.core.scope import Reach
from apiauth.models import App, Key
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
    "resources",
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
        key.resources,
        [finding.value for finding in findings],
        [WORDS[finding].remedy for finding in findings],
    ]


MOST_LINES = 100_000  # in one answer to a backend, which holds a thread while it lasts


class Form(StrEnum):
    """How an export is written."""

    CSV = "csv"
    JSONL = "jsonl"

    @property
    def content_type(self) -> str:
        """Return the media type of such a file."""
        return "text/csv; charset=utf-8" if self is Form.CSV else "application/jsonl; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Sight:
    """What somebody may see of decisions besides the decision itself."""

    addresses: bool
    user_agents: bool

    def of(self, rows: Iterable[DecisionRow]) -> list[DecisionRow]:
        """Return decisions without what may not be seen of them."""
        hidden: dict[str, Any] = {} if self.addresses else {"client_ip": None, "peer_ip": None}
        hidden |= {} if self.user_agents else {"user_agent": ""}
        return [replace(row, **hidden) for row in rows] if hidden else list(rows)


def export_decisions(
    *,
    app: App,
    within: Reach | None,
    filters: DecisionFilters,
    sight: Sight,
    form: Form,
    asked: Mapping[str, str],
    actor: Actor,
    now: datetime,
    after: UUID | None = None,
    most: int | None = None,
) -> Iterator[str]:
    """Note that somebody takes decisions out of the log, and return them as lines, the newest first.

    All of them, or the first `most` behind the decision `after`. Decisions that come in meanwhile
    are left out. `asked` is what the entry says of the filters.
    """
    details = {"filters": dict(asked), "form": form.value}
    activity.record(
        Event.DECISIONS_EXPORTED, actor=actor, now=now, deployment_id=app.deployment_id, app_id=app.id, details=details
    )
    rows = _every_decision(app.id, within, replace(filters, end=filters.end or now), after)
    shown = (_decision(row) for page in rows for row in sight.of(page))
    return lines_of(islice(shown, most), _DECISION_COLUMNS, form)


def lines_of(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], form: Form) -> Iterator[str]:
    """Return rows as lines of a file: CSV of some columns under their names, or each row whole as JSON."""
    if form is Form.JSONL:
        return (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return chain([spreadsheet.line(columns)], (spreadsheet.line(row[name] for name in columns) for row in rows))


def _every_decision(
    app_id: int, within: Reach | None, filters: DecisionFilters, last: UUID | None
) -> Iterator[list[DecisionRow]]:
    """Yield page after page, each of so many rows at most, whether an index answers the filters or not."""
    while True:
        page = search.decisions(app_id=app_id, within=within, filters=filters, after=last, limit=search.MOST_ROWS)
        yield page.rows
        last = page.last
        if last is None:
            return


def _decision(row: DecisionRow) -> dict[str, Any]:
    return {
        "request_id": row.request_id,
        "timestamp": spreadsheet.moment(row.decided_at),
        "outcome": "allowed" if row.allowed else "blocked",
        "rule": row.rule,
        "blocked_by_rule": row.blocked_by,
        "key_id": str(row.key_id) if row.key_id else None,
        "key_name": row.key_name,
        "presented_start": row.presented_start,
        "method": row.method,
        "path": row.path,
        "client_ip": row.client_ip,
        "peer_ip": row.peer_ip,
        "user_agent": row.user_agent,
        "required_permissions": row.required_permissions,
        "held_permissions": row.held_permissions,
        "rate_limits": row.rate_limits,
        "retry_after": row.retry_after,
    }


# In a table, without how limits stood: a cell holds no list of them.
_DECISION_COLUMNS: Final = (
    "request_id",
    "timestamp",
    "outcome",
    "rule",
    "blocked_by_rule",
    "key_id",
    "key_name",
    "presented_start",
    "method",
    "path",
    "client_ip",
    "peer_ip",
    "user_agent",
    "required_permissions",
    "held_permissions",
    "retry_after",
)
