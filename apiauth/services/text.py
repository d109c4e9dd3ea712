"""One rule for every short text that people type: what is refused, and with which sentence."""

import re
import unicodedata
from urllib.parse import SplitResult, urlsplit

from apiauth.core.errors import Invalid

_SLUG = re.compile(r"[a-z0-9_-]{1,64}")
_INVISIBLE = frozenset({"Cf", "Zl", "Zp", "Zs", "Cc"})
_REFUSED = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TAKE_AN = "aeio"  # of labels: a `u` is that of "user"
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def plain_text(value: object, *, field: str, most: int, required: bool = True) -> str:
    """Return a one-line text, stripped. Raises Invalid that names `field`.

    Refused: other types, more than `most` characters, control characters (NUL and line breaks
    among them), lone surrogates, characters that turn the direction of writing, and, where it is
    required, a text with nothing visible in it.
    """
    label = field.replace("_", " ")
    if not isinstance(value, str):
        raise Invalid(f"The {label} must be a text.", field=field)
    text = value.strip()
    if len(text) > most:
        raise Invalid(f"The {label} can have at most {most} characters.", field=field)
    if any(unicodedata.category(character) in _REFUSED or character in _BIDIRECTIONAL for character in text):
        raise Invalid(f"The {label} has characters that cannot be shown.", field=field)
    if required and all(unicodedata.category(character) in _INVISIBLE for character in text):
        raise Invalid(f"Enter {'an' if label[0] in _TAKE_AN else 'a'} {label}.", field=field)
    return text


def plain_owner_id(value: object, *, field: str, required: bool = True) -> str:
    """Return a product's own id of a user, organization or workspace, as `plain_text` does. Raises Invalid.

    Ids stand in addresses, where `.` and `..` mean another one (RFC 3986, section 5.2.4), however they are written:
    whoever removed such a subject would ask for something else.
    """
    text = plain_text(value, field=field, most=200, required=required)
    if text in (".", ".."):
        raise Invalid(f"`{field}` can't be `.` or `..`.", field=field)
    return text


def plain_description(value: object) -> str | None:
    """Return a description as `plain_text` does, None where there is none. Raises Invalid."""
    return None if value is None else plain_text(value, field="description", most=2000, required=False)


def plain_slug(value: object, *, field: str) -> str:
    """Return a slug; raises Invalid that names `field` where it is none."""
    if not isinstance(value, str) or not _SLUG.fullmatch(value):
        raise Invalid("Use 1 to 64 lower-case letters, digits, - or _.", field=field)
    return value


def web_address(text: str) -> SplitResult | None:
    """Return the parts of an http or https address, or None where a text is none."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # read lazily, and refused only then
    except ValueError:
        return None
    return parts if parts.scheme in ("http", "https") and parts.hostname else None
