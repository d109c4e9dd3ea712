"""Cursors: where a list goes on, signed so that only we can have named it, and bound to the list it was made for."""

import hashlib

from django.core import signing

from apiauth.core.errors import Invalid


def write(place: list[str], *, of: object, salt: str) -> str:
    """Return a cursor that holds a place in a list; `of` is what the list was asked for, told apart by its repr."""
    return signing.dumps([*place, _fingerprint(of)], salt=salt)


def read(cursor: str, *, of: object, salt: str) -> list[str]:
    """Return the place that a cursor holds. Raises Invalid where it is none of ours, or of another list."""
    try:
        signed: list[str] = signing.loads(cursor, salt=salt)
    except (signing.BadSignature, ValueError, TypeError):
        raise Invalid("This cursor is not valid. Start again without one.", field="cursor") from None
    *place, fingerprint = signed
    if fingerprint != _fingerprint(of):
        raise Invalid("This cursor belongs to another list. Start again without one.", field="cursor")
    return place


def _fingerprint(of: object) -> str:
    return hashlib.sha256(repr(of).encode()).hexdigest()[:16]
