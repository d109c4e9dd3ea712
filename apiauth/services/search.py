"""Finds a key from whatever a customer pasted to support; the text itself is never kept or sent on."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.conf import settings
from django.db.models import QuerySet

from apiauth.core.actor import Actor
from apiauth.core.events import Event
from apiauth.core.secrets import SUFFIX_CHARACTERS, SecretKind, checksum_matches, is_well_formed
from apiauth.models import Key
from apiauth.services import activity

FOUND_AT_MOST = 50
LONGEST_SEARCH = 500
By = Literal["secret", "ending", "id", "name"]
_ID = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class FoundKeys:
    """The keys that a text may mean, and by what they were found."""

    by: By
    keys: list[Key]


def find_keys(*, text: str, actor: Actor, now: datetime) -> FoundKeys:
    """Return the keys that a pasted text may mean: by the whole secret, by prefix and last four, by id or by name.

    The activity log says that and how somebody searched, never for what: in the app's chain where
    one key was found, else in the installation's.
    """
    found = _find(text.strip()[:LONGEST_SEARCH])
    one = found.keys[0] if len(found.keys) == 1 else None
    activity.record(
        Event.KEY_SEARCHED,
        actor=actor,
        now=now,
        deployment_id=one.deployment_id if one else None,
        app_id=one.app_id if one else None,
        key_id=one.id if one else None,
        details={"by": found.by, "found": len(found.keys)},
    )
    return found


def _find(text: str) -> FoundKeys:
    keys = Key.objects.select_related("app", "deployment").newest_first()
    if is_well_formed(text) and checksum_matches(text):
        digests = settings.ENVIRONMENT.peppers.digests(SecretKind.KEY, text)
        if found := list(keys.filter(digest__in=digests)):
            return FoundKeys("secret", found)
    if _ID.fullmatch(text) and (found := list(keys.filter(pk=int(text)))):
        return FoundKeys("id", found)
    if found := _by_ending(keys, text):
        return FoundKeys("ending", found)
    return FoundKeys("name", list(keys.filter(name__icontains=text)[:FOUND_AT_MOST]) if _is_a_name(text) else [])


def _by_ending(keys: "QuerySet[Key]", text: str) -> list[Key]:
    """Return the keys with this prefix and last four characters, whatever stands between; or with these four alone."""
    ending = text[-SUFFIX_CHARACTERS:]
    if len(ending) < SUFFIX_CHARACTERS or not (ending.isascii() and ending.isalnum()):
        return []
    if len(text) == SUFFIX_CHARACTERS:
        return list(keys.filter(key_suffix=ending)[:FOUND_AT_MOST])
    prefixes = [text[:place] for place, character in enumerate(text[:40]) if character == "_"]
    return list(keys.filter(key_suffix=ending, key_prefix__in=prefixes)[:FOUND_AT_MOST]) if prefixes else []


def _is_a_name(text: str) -> bool:
    return bool(text) and text.isprintable() and len(text) <= 100
