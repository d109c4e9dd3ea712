"""Whether a caller may have one more key that works: within its own reach, its ceiling and its room."""

from datetime import datetime

from apiauth.core.actor import Actor
from apiauth.core.ceiling import Ceiling
from apiauth.core.scope import Owner, Reach
from apiauth.models import App, Key


def check_reach(app: App, owner: Owner, ceiling: Ceiling, actor: Actor, now: datetime, *, lineage_id: int = 0) -> None:
    """Return if a subject would see the key that it makes, and has room for it; raise NotAllowed if not.

    A lineage takes the room of one key as long as any of its secrets works; that of the key itself is not counted.
    """
    reach = Reach(app.id, app.policy.scope.model, owner)
    if actor.kind == "subject":
        reach.require_holder()
    if ceiling.key_cap is not None:
        working = Key.objects.within(reach).active_at(now).exclude(lineage_id=lineage_id)
        ceiling.check_count(working.values("lineage_id").distinct().count())


def check_comeback(app: App, key: Key, owner: Owner, ceiling: Ceiling, actor: Actor, now: datetime) -> None:
    """Return if a caller may let a key work again: as far as it could make such a key."""
    ceiling.check_permissions(key.permissions)
    check_reach(app, owner, ceiling, actor, now, lineage_id=key.lineage_id)
