"""Keeps a change from overwriting another that its caller has not seen."""

from collections.abc import Collection
from datetime import datetime

from apiauth.core.errors import ChangedMeanwhile


def refuse_unseen(updated_at: datetime, seen: Collection[datetime] | None) -> None:
    """Raise ChangedMeanwhile unless the caller has seen the row as it is; None asks for no such care.

    Call it with the row locked.
    """
    if seen is not None and updated_at not in seen:
        raise ChangedMeanwhile(field="If-Match")
