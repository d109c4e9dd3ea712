"""What a session may do: roles from least to most, and one function that decides."""

from enum import StrEnum

from apiauth.core.errors import NotAllowed


class Role(StrEnum):
    """How far a session reaches; its ticket says which one it has."""

    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"


class Action(StrEnum):
    """What a session can ask for."""

    SEE = "see"
    CREATE_KEY = "create_key"
    ROTATE_KEY = "rotate_key"
    REVOKE_KEY = "revoke_key"
    DISABLE_KEY = "disable_key"


_RANK = {role: rank for rank, role in enumerate(Role)}
_LEAST_ROLE = {
    Action.SEE: Role.VIEWER,
    Action.CREATE_KEY: Role.MEMBER,
    Action.ROTATE_KEY: Role.MEMBER,
    Action.REVOKE_KEY: Role.ADMIN,
    Action.DISABLE_KEY: Role.ADMIN,
}


def least_role(action: Action) -> Role:
    """Return the least role that reaches an action."""
    return _LEAST_ROLE[action]


def may(role: Role, action: Action) -> bool:
    """Tell whether a role reaches an action."""
    return _RANK[role] >= _RANK[least_role(action)]


def require(role: Role, action: Action, *, app_name: str) -> None:
    """Return if the role reaches the action; raise NotAllowed with a sentence that says whom to ask."""
    if not may(role, action):
        raise NotAllowed(f"Your access doesn't allow this. Ask an owner of {app_name} to do it.")
