"""What a key may do, as people read it: a permission that its app has dropped still works, and must not go unseen."""

from collections.abc import Collection, Sequence

from apiauth.core.marked_names import MarkedName, marked
from apiauth.core.permissions import dropped_permissions

DROPPED = "no longer named by the app, still lets calls through"


def held_permissions(permissions: Sequence[str], catalogue: Collection[str]) -> list[MarkedName]:
    """Return a key's permissions, each dropped one with its mark."""
    return marked(permissions, dropped_permissions(permissions, catalogue), DROPPED)
