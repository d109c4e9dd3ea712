"""Whose keys a session reaches: those of its app, or of its workspace, its organization or its user alone."""

from dataclasses import dataclass
from enum import StrEnum

from apiauth.core.errors import NotAllowed


class Scope(StrEnum):
    """What the keys of an app belong to, from widest to narrowest."""

    APP = "app"
    ORGANIZATION = "organization"
    WORKSPACE = "workspace"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whom a key or a session belongs to, by the product's own ids; None where the product named none."""

    user_id: str | None = None
    organization_id: str | None = None
    workspace_id: str | None = None


NOBODY = Owner()


@dataclass(frozen=True, slots=True)
class Reach:
    """The keys within one session's scope. A session that lacks the id which its app's scope goes by reaches none."""

    app_id: int
    scope: Scope
    holder: Owner

    def conditions(self) -> dict[str, str | None] | None:
        """Return what the owner of a key within has to be; None where no key is.

        Ids of workspaces need be unique only within their organization, so both have to be the same.
        """
        holder = self.holder
        if self.scope is Scope.APP:
            return {}
        if self.scope is Scope.ORGANIZATION:
            return {"organization_id": holder.organization_id} if holder.organization_id else None
        if self.scope is Scope.WORKSPACE:
            both = {"organization_id": holder.organization_id, "workspace_id": holder.workspace_id}
            return both if holder.workspace_id else None
        return {"user_id": holder.user_id} if holder.user_id else None

    def require_holder(self) -> None:
        """Return if a key that the session makes would be within its own reach; raise NotAllowed if not."""
        if self.conditions() is None:
            raise NotAllowed(f"Your access names no {self.scope}, so it reaches no keys here.")

    @property
    def is_whole_app(self) -> bool:
        """Tell whether every key of the app is within."""
        return self.scope is Scope.APP


def owns(holder: Owner, key: Owner) -> bool:
    """Tell whether a key is the holder's own; what the product ascribed to no user is nobody's own."""
    return holder.user_id is not None and holder.user_id == key.user_id
