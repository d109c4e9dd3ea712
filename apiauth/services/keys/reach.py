"""Whether a caller may have one more key that works: within its own reach, its ceiling and its room."""

from datetime import datetime

from apiauth.core.actor import Actor
from apiauth.core.ceiling import Ceiling
from apiauth.core.scope import Owner, Reach
from apiauth.models import App, Key


def check_reach(app: App, owner: Owner, ceiling: Ceiling, actor: Actor, now: datetime) -> None:
    """Return if a subject would see the key that it makes, and has room for it; raise NotAllowed if not."""
    reach = Reach(app.id, app.policy.scope.model, owner)
    if actor.kind == "subject":
        reach.require_holder()
    if ceiling.key_cap is not None:
        ceiling.check_count(Key.objects.within(reach).newest_of_lineage().active_at(now).count())


def check_comeback(app: App, key: Key, owner: Owner, ceiling: Ceiling, actor: Actor, now: datetime) -> None:
    """Return if a caller may let a key work again: as far as it could make such a key."""
    ceiling.check_permissions(key.permissions)
    if key.replaced_by_id is None:  # the old key of a lineage takes no room
        check_reach(app, owner, ceiling, actor, now)
