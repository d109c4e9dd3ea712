"""What a change to a key would break, as far as a session may see it."""

from collections.abc import Collection
from datetime import datetime

from apiauth.models import Key
from apiauth.services import impact_words
from apiauth.services.impact import preview
from apiauth.services.impact_words import Addresses, Breakage
from apiauth.verify.replay import Proposal

__all__ = ["Breakage", "breakage"]


def breakage(
    key: Key, proposal: Proposal, *, others: Collection[Key] = (), see_addresses: bool, now: datetime
) -> Breakage:
    """Return what the recent calls of a key, and of others that end with it, say of a change.

    Addresses only to those who may see them.
    """
    found = preview(key=key, others=others, proposal=proposal, now=now)
    return impact_words.breakage(found, see=Addresses.WHOLE if see_addresses else Addresses.HIDDEN, now=now)
