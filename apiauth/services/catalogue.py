"""An app's permissions as people choose among them: what each is for, in which group, and ready-made choices."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apiauth.core.errors import Invalid
from apiauth.core.permissions import MOST_PERMISSIONS, check_permission, check_permissions
from apiauth.services.text import plain_text

MOST_PRESETS = 10
READ_ONLY = "Read only"
_DETAILS = ("description", "group")


@dataclass(frozen=True, slots=True)
class Preset:
    """Some permissions under one name."""

    name: str
    permissions: tuple[str, ...]


def checked_details(value: object) -> dict[str, dict[str, str]]:
    """Return descriptions and groups by permission. Raises Invalid that names the field.

    A permission may be one that the app lacks: it is said nowhere until the app has it.
    """
    if not isinstance(value, Mapping) or len(value) > MOST_PERMISSIONS:
        raise Invalid(
            f"permission_details must be an object of at most {MOST_PERMISSIONS} permissions.",
            field="permission_details",
        )
    return {check_permission(name, "permission_details"): _detail(name, given) for name, given in value.items()}


def checked_presets(value: object) -> dict[str, list[str]]:
    """Return lists of permissions by the name of the choice. Raises Invalid that names the field."""
    if not isinstance(value, Mapping) or len(value) > MOST_PRESETS:
        raise Invalid(
            f"permission_presets must be an object of at most {MOST_PRESETS} lists.", field="permission_presets"
        )
    return {
        plain_text(name, field="permission_presets", most=60): _listed(name, given) for name, given in value.items()
    }


def offered(permissions: Sequence[str], bound: Sequence[str] | None) -> list[str]:
    """Return the permissions of an app that a session may give; without a bound, all of them."""
    return [name for name in permissions if bound is None or name in bound]


def presets(stored: Mapping[str, Sequence[str]], offered: Sequence[str]) -> list[Preset]:
    """Return the choices among some permissions, the smallest first.

    Without choices of the app's own, those that end in `:read` are one. None is empty or the whole.
    """
    named: Iterable[tuple[str, Iterable[str]]] = stored.items()
    if not stored:
        named = [(READ_ONLY, [name for name in offered if name.endswith(":read")])]
    found = [Preset(name, tuple(each for each in offered if each in set(chosen))) for name, chosen in named]
    partial = [preset for preset in found if 0 < len(preset.permissions) < len(offered)]
    return sorted(partial, key=lambda preset: (len(preset.permissions), preset.name))


def _detail(name: str, given: object) -> dict[str, str]:
    field = f"permission_details.{name}"
    if not isinstance(given, Mapping) or set(given) - set(_DETAILS):
        raise Invalid(f"{field} must be an object with a description and a group.", field=field)
    texts = {each: given.get(each) or "" for each in _DETAILS}
    return {
        "description": plain_text(texts["description"], field=f"{field}.description", most=200, required=False),
        "group": plain_text(texts["group"], field=f"{field}.group", most=60, required=False),
    }


def _listed(name: str, given: Any) -> list[str]:
    field = f"permission_presets.{name}"
    if not isinstance(given, list):
        raise Invalid(f"{field} must be a list of permissions.", field=field)
    return check_permissions(given, field)
