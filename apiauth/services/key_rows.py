"""What every change to a key shares: its rows are locked, app first, and the activity log has its entry."""

from datetime import datetime
from typing import Any

from apiauth.core.actor import Actor
from apiauth.core.errors import NotAllowed, NotAuthenticated, NotFound
from apiauth.core.events import Event
from apiauth.models import App, Key, Session
from apiauth.services import activity


def lock_open_app(app_id: int, actor: Actor) -> App:
    """Return the app, held so that it cannot be paused or deleted meanwhile.

    Raises NotFound, NotAllowed, and NotAuthenticated where the actor's session has ended.
    """
    return lock_app_for(app_id, actor, is_open=True)


def lock_app_for(app_id: int, actor: Actor, *, is_open: bool) -> App:
    """Return the app and hold it, for what an actor changes; raises as `lock_open_app`.

    A session is looked at again here: who ends all of a user's sessions holds the app as well.
    """
    app = lock_app(app_id, is_open=is_open)
    if actor.session_id is not None and not Session.objects.filter(pk=actor.session_id, ended_at=None).exists():
        raise NotAuthenticated("This session has ended.")
    return app


def lock_app(app_id: int, *, is_open: bool) -> App:
    """Return the app and hold it. Raises NotFound, and NotAllowed where it has to be open and is paused."""
    apps = App.objects.select_related("rate_limit_scheme").select_for_update(no_key=True, of=("self",))
    app = apps.filter(pk=app_id, deleted_at=None).first()
    if app is None:
        raise NotFound("This app doesn't exist.")
    if is_open and not app.is_active:
        raise NotAllowed(f"{app.name} is paused. Its keys can be seen, not changed.")
    return app


def lock_key(app_id: int, key_id: int) -> Key:
    """Return a key of the app and hold it. Raises NotFound."""
    key = Key.objects.in_app(app_id).select_for_update(of=("self",)).filter(pk=key_id).first()
    if key is None:
        raise NotFound("This key doesn't exist, or it belongs to another app.")
    return key


def written(moment: datetime | None) -> str | None:
    """Return a moment as the activity log holds it."""
    return moment.isoformat() if moment else None


def record(event: Event, key: Key, actor: Actor, now: datetime, details: dict[str, Any]) -> None:
    """Add an entry about a key to its app's chain: the last thing in a transaction."""
    activity.record(
        event,
        actor=actor,
        now=now,
        deployment_id=key.deployment_id,
        app_id=key.app_id,
        key_id=key.id,
        details=details,
    )
