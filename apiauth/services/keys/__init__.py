"""The life of a key: created, rotated, disabled and revoked here alone."""

from apiauth.services.keys.creation import create_key
from apiauth.services.keys.disabling import disable_key, enable_key
from apiauth.services.keys.issuing import IssuedKey
from apiauth.services.keys.revocation import revoke_key, undo_revoke
from apiauth.services.keys.rotation import LONGEST_OVERLAP, change_overlap, end_overlap, latest_overlap_end, rotate_key

__all__ = [
    "LONGEST_OVERLAP",
    "IssuedKey",
    "change_overlap",
    "create_key",
    "disable_key",
    "enable_key",
    "end_overlap",
    "latest_overlap_end",
    "revoke_key",
    "rotate_key",
    "undo_revoke",
]
