"""The one normal form of a requested resource; what could mean two paths is refused.

Gateways have been passed by spelling one path in another way, so a resource is decoded
exactly once and every spelling that some router might read differently is an error.
"""

import re
from collections.abc import Collection, Iterable
from urllib.parse import unquote_to_bytes

from apiauth.core.errors import Invalid

LONGEST_RESOURCE = 4096
FIELD = "resource"

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_ENCODED_SLASH = re.compile(r"%(?:2f|5c)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def normal_form(resource: str) -> str:
    """Return the path of a resource: query and fragment cut, decoded once, with a leading slash.

    Raises Invalid where it is empty, too long, or could be read as two different paths.
    """
    path = re.split(r"[?#]", resource, maxsplit=1)[0]
    if not path:
        raise Invalid("`resource` must be a path such as /v1/orders.", field=FIELD)
    if len(resource) > LONGEST_RESOURCE:
        raise Invalid(f"`resource` has more than {LONGEST_RESOURCE} characters.", field=FIELD)
    decoded = _decode_once(path)
    _refuse_ambiguous(decoded)
    return decoded if decoded.startswith("/") else f"/{decoded}"


def roots_of(resources: Iterable[str]) -> tuple[str, ...]:
    """Return resources as `is_opened` takes them. Raises Invalid where one has no normal form."""
    return tuple(f"{normal_form(resource).rstrip('/')}/" for resource in resources)


def open_roots(resources: Iterable[str], catalogue: Collection[str]) -> tuple[str, ...]:
    """Return the roots of a bound key's resources, but of those that its app no longer names: these open nothing."""
    return roots_of(resource for resource in resources if resource in catalogue)


def dropped_resources(resources: Iterable[str], catalogue: Collection[str]) -> list[str]:
    """Return those of a bound key's resources that its app no longer names."""
    return [resource for resource in resources if resource not in catalogue]


def is_opened(path: str, roots: tuple[str, ...]) -> bool:
    """Tell whether a path, in its normal form, is one of these resources or lies below one: whole segments count."""
    return f"{path}/".startswith(roots)


def _decode_once(path: str) -> str:
    if _ENCODED_SLASH.search(path):
        raise Invalid("`resource` holds an encoded slash or backslash.", field=FIELD)
    if _BAD_ESCAPE.search(path):
        raise Invalid("`resource` holds a broken percent escape.", field=FIELD)
    try:
        decoded = unquote_to_bytes(path).decode("utf-8")
    except UnicodeError:
        raise Invalid("`resource` is not UTF-8.", field=FIELD) from None
    if "%" in path and _ESCAPE.search(decoded):
        raise Invalid("`resource` is percent-encoded twice.", field=FIELD)
    return decoded


def _refuse_ambiguous(path: str) -> None:
    if "\\" in path or "//" in path:
        raise Invalid("`resource` holds a backslash or a double slash.", field=FIELD)
    if _CONTROL.search(path):
        raise Invalid("`resource` holds a control character.", field=FIELD)
    if any(segment in {".", ".."} for segment in path.split("/")):
        raise Invalid("`resource` holds a `.` or `..` segment.", field=FIELD)
