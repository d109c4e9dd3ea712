"""What the compliance page shows: how many keys each finding is about, and the keys of one, with what to do."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from django.urls import reverse

from apiauth.core import ids
from apiauth.models import Key
from apiauth.models.key import KeyQuerySet
from apiauth.services import compliance
from apiauth.services.compliance import Finding
from apiauth.services.finding_words import WORDS, Words
from portal.session import PortalRequest, Rights

PAGE = 50
_NO_ID: Final = "0"
SHOW, EDIT, ROTATE, REVOKE = "Open", "Edit", "Rotate", "Revoke"
_REMEDIES: Final[dict[Finding, tuple[str, ...]]] = {
    Finding.NO_EXPIRY: (EDIT,),
    Finding.ROTATION_OVERDUE: (ROTATE,),
    Finding.UNUSED: (SHOW, REVOKE),
    Finding.NEVER_USED: (SHOW, REVOKE),
    Finding.WIDE_PERMISSIONS: (EDIT,),
    Finding.ANY_ADDRESS: (EDIT,),
    Finding.OWNER_GONE: (ROTATE, REVOKE),
}
_READ: Final = (
    *("name", "key_prefix", "key_suffix", "created_at", "expires_at", "usage__last_used_at"),
    *("user_id", "organization_id", "workspace_id"),
)
_PAGES: Final = {SHOW: "portal:key", EDIT: "portal:key_edit", ROTATE: "portal:key_rotate", REVOKE: "portal:key_revoke"}


@dataclass(frozen=True, slots=True)
class Count:
    """A finding, and how many keys it is about."""

    finding: Finding
    words: Words
    number: int


@dataclass(frozen=True, slots=True)
class Remedy:
    """A link to the page on which something can be done about a key."""

    word: str
    address: str
    in_dialog: bool
    tone: str


@dataclass(frozen=True, slots=True)
class Line:
    """A key that deserves a look."""

    key: Key
    remedies: list[Remedy]

    @property
    def usage(self) -> Any:
        """Return its last use; None where it has none."""
        return getattr(self.key, "usage", None)


def keys_of(request: PortalRequest) -> KeyQuerySet:
    """Return the keys that the session reaches: what is outside is not counted either."""
    return Key.objects.within(request.reach)


def finding_named(text: str) -> Finding | None:
    """Return the finding that an address or a form names, if any."""
    return Finding(text) if text in set(Finding) else None


def contents(request: PortalRequest) -> dict[str, Any]:
    """Return the counts, and a page of the keys of the finding that is asked for, else of the first there is."""
    review = compliance.review(keys=keys_of(request), now=request.now)
    counts = [Count(finding, WORDS[finding], review.counts[finding]) for finding in Finding]
    first = next((count.finding for count in counts if count.number), None)
    chosen = finding_named(request.GET.get("finding", "")) or first
    shown, after = _page(request, chosen) if chosen else ([], "")
    return {
        "counts": counts,
        "is_clear": first is None,
        "total": review.keys,
        "chosen": chosen,
        "words": WORDS[chosen] if chosen else None,
        "number": review.counts[chosen] if chosen else 0,
        "lines": shown,
        "after": after,
    }


def _page(request: PortalRequest, finding: Finding) -> tuple[list[Line], str]:
    """Return the keys of a finding, the oldest first, and where the next page begins."""
    found_keys = compliance.found_keys(keys=keys_of(request), finding=finding, now=request.now)
    rows = found_keys.select_related(None).select_related("usage").only(*_READ)  # their app is the session's
    after = ids.parse_id(request.GET.get("after", ""))
    if after is not None:
        rows = rows.filter(pk__gt=after)
    found = list(rows[: PAGE + 1])
    shown = found[:PAGE]
    more = str(shown[-1].pk) if len(found) > PAGE else ""
    return [Line(key, _remedies(key, finding, request.rights)) for key in shown], more


def _remedies(key: Key, finding: Finding, rights: Rights) -> list[Remedy]:
    allows: dict[str, Callable[[Key], bool]] = {EDIT: rights.edit, ROTATE: rights.rotate, REVOKE: rights.revoke}
    words = [word for word in _REMEDIES[finding] if word not in allows or allows[word](key)] or [SHOW]
    return [
        Remedy(word, str(key.pk).join(_around_id(word)), word != SHOW, "danger" if word == REVOKE else "")
        for word in words
    ]


@cache
def _around_id(word: str) -> tuple[str, str]:
    """Return what stands before and after a key's id in a page's address: `reverse` for each key took a tenth of it."""
    before, _, after = reverse(_PAGES[word], args=[_NO_ID]).partition(_NO_ID)
    return before, after
