"""What a session may do: roles from least to most, what each action takes, and one function that decides."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from apiauth.core.errors import NotAllowed


class Role(StrEnum):
    """How far a session reaches; its ticket says which one it has."""

    VIEWER = "viewer"
    MEMBER = "member"
    ADMIN = "admin"
    OWNER = "owner"


class Action(StrEnum):
    """What a session can ask for. `own` is about a key of the subject's, `any` about every key within its scope."""

    SEE = "see"
    CREATE = "create"
    RENAME = "rename"
    EDIT_OWN = "edit_own"
    EDIT_ANY = "edit_any"
    ROTATE_OWN = "rotate_own"
    ROTATE_ANY = "rotate_any"
    DISABLE_OWN = "disable_own"
    DISABLE_ANY = "disable_any"
    REVOKE_OWN = "revoke_own"
    REVOKE_ANY = "revoke_any"
    CHANGE_LIMITS = "change_limits"
    EXPORT = "export"
    SEE_ADDRESSES = "see_addresses"
    SEE_USER_AGENTS = "see_user_agents"
    SEE_ACTIVITY = "see_activity"
    SEE_COMPLIANCE = "see_compliance"


class Authority(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The least role that each action takes: a matrix of action and role, since roles are ranked."""

    see: Role = Role.VIEWER
    create: Role = Role.MEMBER
    rename: Role = Role.MEMBER
    edit_own: Role = Role.ADMIN
    edit_any: Role = Role.ADMIN
    rotate_own: Role = Role.MEMBER
    rotate_any: Role = Role.MEMBER
    disable_own: Role = Role.ADMIN
    disable_any: Role = Role.ADMIN
    revoke_own: Role = Role.ADMIN
    revoke_any: Role = Role.ADMIN
    change_limits: Role = Role.ADMIN
    export: Role = Role.MEMBER
    see_addresses: Role = Role.VIEWER
    see_user_agents: Role = Role.VIEWER
    see_activity: Role = Role.VIEWER
    see_compliance: Role = Role.ADMIN

    def least_role(self, action: Action) -> Role:
        """Return the least role that reaches an action. Whoever may do it to any key may to their own."""
        rest = _ANY_OF.get(action)
        roles = (self._set(action), self._set(rest)) if rest else (self._set(action),)
        return min(roles, key=_RANK.__getitem__)

    def _set(self, action: Action) -> Role:
        role: Role = getattr(self, action.value)
        return role


_RANK = {role: rank for rank, role in enumerate(Role)}
_ANY_OF: Final = {
    Action.EDIT_OWN: Action.EDIT_ANY,
    Action.ROTATE_OWN: Action.ROTATE_ANY,
    Action.DISABLE_OWN: Action.DISABLE_ANY,
    Action.REVOKE_OWN: Action.REVOKE_ANY,
}
_EDITED_BY: Final = {"name": Action.RENAME, "note": Action.RENAME, "limits": Action.CHANGE_LIMITS}
EDITS: Final = (Action.RENAME, Action.EDIT_OWN, Action.CHANGE_LIMITS)  # each of them changes a part of a key
_OWN_KEYS = {"edit_own": Role.MEMBER, "disable_own": Role.MEMBER, "revoke_own": Role.MEMBER}
# Authorities under the names that people know them by. The first is what an app has unless it says otherwise.
PRESETS: Final[dict[str, Authority]] = {
    "team": Authority(),
    "admin_override": Authority(rotate_any=Role.ADMIN, **_OWN_KEYS),
    "owner_only": Authority(
        edit_any=Role.OWNER, rotate_any=Role.OWNER, disable_any=Role.OWNER, revoke_any=Role.OWNER, **_OWN_KEYS
    ),
}


class MissingPermission(NotAllowed):
    """Your access doesn't allow this."""

    code = "missing_permission"

    def __init__(self, action: Action, role: Role, message: str) -> None:
        """Take the action that the role does not reach."""
        super().__init__(message)
        self.details = {"missing": action.value, "role": role.value}


def preset_name(authority: Authority) -> str | None:
    """Return the name of the preset that an authority is; None where it is nobody's but the app's own."""
    return next((name for name, preset in PRESETS.items() if preset == authority), None)


def about_key(action: Action, *, is_own: bool) -> Action:
    """Return what an action on one key takes: the same on the subject's own key, its counterpart on another."""
    return action if is_own else _ANY_OF.get(action, action)


def actions_of_edit(fields: Iterable[str]) -> list[Action]:
    """Return what it takes to change fields of a key, by their names in the services; where there are none, nothing."""
    taken = {_EDITED_BY.get(name, Action.EDIT_OWN) for name in fields}
    return [action for action in EDITS if action in taken]


def may(authority: Authority, role: Role, action: Action) -> bool:
    """Tell whether a role reaches an action."""
    return _RANK[role] >= _RANK[authority.least_role(action)]


def reachable(authority: Authority, role: Role) -> list[Action]:
    """Return every action that a role reaches, in the order of the closed list."""
    return [action for action in Action if may(authority, role, action)]


def require(authority: Authority, role: Role, action: Action, *, app_name: str) -> None:
    """Return if the role reaches the action; raise MissingPermission with a sentence that says whom to ask."""
    if not may(authority, role, action):
        least = authority.least_role(action)
        who = "an owner" if least is Role.OWNER else f"an {least} or an owner" if least is Role.ADMIN else f"a {least}"
        raise MissingPermission(
            action, role, f"Your access doesn't allow this. Ask {who} of {app_name} to do it, or to change your role."
        )
