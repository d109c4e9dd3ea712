"""Moments as they stand on the wire."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import WithJsonSchema

MomentText = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


def moment_json(moment: datetime) -> str:
    """Return a moment as RFC 3339 in UTC, with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def moment_or_null(moment: datetime | None) -> str | None:
    """Return a moment as RFC 3339 in UTC, None where there is none."""
    return moment_json(moment) if moment else None
