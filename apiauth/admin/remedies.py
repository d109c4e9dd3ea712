"""What is done about each finding of the compliance review: what staff can do here, and what their customer does."""

from dataclasses import dataclass, replace
from typing import Final

from django.contrib import admin
from django.http import HttpRequest

from apiauth.admin.keys import KeyAdmin
from apiauth.models import Key
from apiauth.services.compliance import Finding

ONLY_LOOKS = "Your account can look at this, and not change it."


@dataclass(frozen=True, slots=True)
class _Remedy:
    customer: str
    doors: tuple[str, ...] = ()
    by_policy: tuple[str, str] | None = None
    """The words of the link, and the place in the policy's document."""


@dataclass(frozen=True, slots=True)
class Remedies:
    """How the keys of one finding are mended."""

    sentence: str
    doors: list[tuple[str, str]]
    """Actions on a key that this person may take, with their labels."""
    by_policy: tuple[str, str] | None
    """What a link to the policy of a key's app says, and the place there; None where this person may not set it."""

    @property
    def are_open(self) -> bool:
        """Tell whether this person can do anything here."""
        return bool(self.doors or self.by_policy)


_NOT_USED: Final = _Remedy(
    "The customer revokes it in the portal. Where nobody is sure, disable it first: that can be taken back.",
    doors=("disable", "revoke"),
)
_REMEDIES: Final[dict[Finding, _Remedy]] = {
    Finding.NO_EXPIRY: _Remedy(
        "The customer sets an end in the portal, with Edit on the key's page. The app's policy can require one.",
        by_policy=("Require an end…", "expiry.mode"),
    ),
    Finding.ROTATION_OVERDUE: _Remedy(
        "The customer rotates it in the portal: the new secret is theirs. The app's policy can block overdue keys.",
        by_policy=("Block overdue keys…", "rotation.when_overdue"),
    ),
    Finding.UNUSED: _NOT_USED,
    Finding.NEVER_USED: _NOT_USED,
    Finding.WIDE_PERMISSIONS: _Remedy(
        "The customer takes permissions away in the portal, with Edit on the key's page."
    ),
    Finding.ANY_ADDRESS: _Remedy("The customer adds addresses in the portal, with Edit on the key's page."),
    Finding.OWNER_GONE: _Remedy(
        "The customer rotates it in the portal and hands the new secret on, or revokes it there.",
        doors=("disable", "revoke"),
    ),
}


def remedies_of(finding: Finding, request: HttpRequest) -> Remedies:
    """Return how the keys of a finding are mended, as far as this person may do it."""
    remedy = _REMEDIES[finding]
    window = admin.site.get_model_admin(Key)
    assert isinstance(window, KeyAdmin)
    doors = [door for door in window.open_doors(request) if door[0] in remedy.doors]
    by_policy = remedy.by_policy if window.may(request, "change_app") else None
    open_ones = Remedies(remedy.customer, doors, by_policy)
    if open_ones.are_open or not (remedy.doors or remedy.by_policy):
        return open_ones
    return replace(open_ones, sentence=f"{remedy.customer} {ONLY_LOOKS}")
