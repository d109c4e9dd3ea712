"""What would let a blocked call through, where the session may do it."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.urls import reverse

from apiauth.audit.search import DecisionRow
from apiauth.core.decision import Rule
from apiauth.models import Key, KeyStatus
from portal.session import PortalRequest


@dataclass(frozen=True, slots=True)
class Remedy:
    """A link to the page on which to do it."""

    word: str
    address: str


def remedies(request: PortalRequest, row: DecisionRow, key: Key | None) -> list[Remedy]:
    """Return what could be changed about a key so that such a call is allowed; nothing for a key that has ended."""
    if key is None or key.replaced_by_id is not None:
        return []
    if row.rule == Rule.KEY_DISABLED and key.status(request.now) is KeyStatus.DISABLED:
        return [Remedy("Enable key", _page("key_enable", key))] if request.rights.disable(key) else []
    if not key.is_active(request.now) or not request.rights.edit(key):
        return []
    if row.rule == Rule.PERMISSION_DENIED:
        return [Remedy("Edit permissions", _page("key_edit", key))]
    if row.rule == Rule.RESOURCE_NOT_ALLOWED:
        return [Remedy("Edit resources", _page("key_edit", key))]
    if row.rule == Rule.IP_NOT_ALLOWED and row.client_ip:
        return [Remedy("Add this address", f"{_page('key_edit', key)}?{urlencode({'add': row.client_ip})}")]
    return []


def _page(name: str, key: Key) -> str:
    return reverse(f"portal:{name}", args=[key.pk])
