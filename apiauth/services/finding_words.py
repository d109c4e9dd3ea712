"""What each finding of the compliance review means, and what to do about it: for portal, admin and exports."""

from dataclasses import dataclass
from typing import Final

from apiauth.services.compliance import NEW_UNTIL, UNUSED_AFTER, WIDE_PERCENT, Finding


@dataclass(frozen=True, slots=True)
class Words:
    """A finding as a person reads it: its name, what is the matter, and what to do."""

    title: str
    matter: str
    remedy: str


WORDS: Final[dict[Finding, Words]] = {
    Finding.NO_EXPIRY: Words("No end", "The key never ends by itself.", "Set an end, or rotate it for one that has."),
    Finding.ROTATION_OVERDUE: Words("Rotation overdue", "It should have been rotated by now.", "Rotate it."),
    Finding.UNUSED: Words(
        "Unused", f"Its last call is more than {UNUSED_AFTER.days} days ago.", "Revoke it if nobody misses it."
    ),
    Finding.NEVER_USED: Words(
        "Never used", f"It is older than {NEW_UNTIL.days} days and was never used.", "Revoke it if nobody needs it."
    ),
    Finding.WIDE_PERMISSIONS: Words(
        "Wide permissions",
        f"It holds {WIDE_PERCENT}% or more of the app's permissions.",
        "Take away what it does not need.",
    ),
    Finding.ANY_ADDRESS: Words(
        "Any address",
        "It works from any address: nothing bounds it, or all of IPv4 or IPv6 is allowed.",
        "Name the addresses it is used from.",
    ),
    Finding.OWNER_GONE: Words(
        "Owner gone", "The user it belongs to was removed.", "Rotate it into other hands, or revoke it."
    ),
}
