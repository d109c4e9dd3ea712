"""What a key may do, as people read it: a permission that its app has dropped still works, and must not go unseen."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from apiauth.core.permissions import dropped_permissions

DROPPED = "no longer named by the app, still lets calls through"


@dataclass(frozen=True, slots=True)
class HeldPermission:
    """One permission of a key; the mark says what is odd about it, and is empty where nothing is."""

    name: str
    mark: str


def held_permissions(permissions: Sequence[str], catalogue: Collection[str]) -> list[HeldPermission]:
    """Return a key's permissions, each dropped one with its mark."""
    lost = dropped_permissions(permissions, catalogue)
    return [HeldPermission(name, DROPPED if name in lost else "") for name in permissions]
