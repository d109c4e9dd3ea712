"""A change to a key before it is made: what it adds and takes away, and what it would have blocked."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.http import QueryDict

from apiauth.core import limit_words, resource_words
from apiauth.core.key_limits import load_key_rules
from apiauth.core.resource import open_roots
from apiauth.core.roles import EDITS, actions_of_edit
from apiauth.models import App, Key
from apiauth.services import key_edits, sessions
from apiauth.verify.addresses import parse_networks
from apiauth.verify.replay import Proposal
from portal import inputs, limit_rows, times
from portal.key_forms import CHOOSE, EditKeyForm
from portal.session import PortalRequest

_SENT_AS = {"access": "permissions", "add_address": "allowed_cidrs", "ends": "expires_at", "ends_on": "expires_at"}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a change is about: what it adds and takes away, or from what to what."""

    label: str
    adds: tuple[str, ...] = ()
    removes: tuple[str, ...] = ()
    before: str = ""
    after: str = ""


def authorize(request: PortalRequest, key: Key) -> None:
    """Return if the session may change every part of a key that was sent, or where none was, any. Raises NotAllowed.

    What was sent counts although it is as it was: the form leaves out what the session may not change.
    """
    session = request.session_row
    open_to = [action for action in EDITS if sessions.may(session, action, key)]
    for action in actions_of_edit(_fields_sent(request.POST)) or open_to[:1] or EDITS[:1]:
        sessions.require_key(
            session, key, action, is_change=request.method == "POST", actor=request.actor, now=request.now
        )


def save(request: PortalRequest, form: EditKeyForm, key: Key) -> Key:
    """Change a key as the form says, unless somebody else has since the page was made."""
    return key_edits.edit_key(
        app_id=request.app.pk,
        key_id=key.pk,
        changes=form.changes(),
        ceiling=request.session_row.ceiling,
        actor=request.actor,
        now=request.now,
        seen=[inputs.moment(form.cleaned_data, "seen")],
    )


def rehearse(request: PortalRequest, form: EditKeyForm, key: Key) -> Key:
    """Return the key as it would be; the service decides as it will, and nothing stays of it."""
    with transaction.atomic():
        changed = save(request, form, key)
        transaction.set_rollback(True)
    return changed


def differences(before: Key, after: Key) -> list[Difference]:
    """Return what is different about a key, in the order of the form."""
    found = [
        _text("Name", before.name, after.name),
        _set("Permissions", before.permissions, after.permissions),
        _set("Addresses", before.allowed_cidrs, after.allowed_cidrs),
        _resources(before.resources, after.resources),
        _set("Limits", _limits(before), _limits(after)),
        _text("Ends", _end(before.expires_at), _end(after.expires_at)),
        _text("Note", before.note or "none", after.note or "none"),
    ]
    return [each for each in found if each is not None]


def needs_review(before: Key, after: Key) -> bool:
    """Tell whether a change is about what the key may do: its name and note are not."""
    fields = ("permissions", "allowed_cidrs", "resources", "limits", "expires_at")
    return any(getattr(before, name) != getattr(after, name) for name in fields)


def shuts_addresses_out(before: Key, after: Key) -> bool:
    """Tell whether a change could block calls for where they come from."""
    return bool(after.allowed_cidrs) and after.allowed_cidrs != before.allowed_cidrs


def narrowing(app: App, before: Key, after: Key, *, see_addresses: bool) -> Proposal | None:
    """Return what of a change could block calls that were allowed; None where nothing could.

    Addresses are left out for those who may not see any: with one try after another they would learn who called.
    """
    loses = set(before.permissions) - set(after.permissions)
    is_narrower = see_addresses and shuts_addresses_out(before, after)
    is_limited = any(entry not in before.limits for entry in after.limits)
    is_bound = bool(after.resources) and after.resources != before.resources
    if not (loses or is_narrower or is_limited or is_bound):
        return None
    return Proposal(
        permissions=frozenset(after.permissions) if loses else None,
        networks=parse_networks(tuple(after.allowed_cidrs)) if is_narrower else None,
        resources=open_roots(after.resources, app.resources) if is_bound else None,
        limits=load_key_rules(after.limits) if is_limited else (),
    )


def refused_everywhere(app: App, after: Key) -> str:
    """Return the sentence for a change that leaves a key bound to nothing that its app names; empty for any other."""
    return resource_words.refused_everywhere(after.resources, app.resources, sentence=resource_words.WOULD_BE_REFUSED)


def sent_again(form: EditKeyForm, after: Key) -> list[tuple[str, str]]:
    """Return the fields of the form that confirms a change: what was sent, with every choice spelled out."""
    names = ("name", "note", "allowed_cidrs", "ends", "ends_on", "seen", *form.limits_sent)
    fields = [(name, form[name].value() or "") for name in names if name in form.fields]
    if form.may_edit:
        fields += [("access", CHOOSE)]
        fields += [("permissions", name) for name in after.permissions]
        fields += [("resources", path) for path in after.resources]
    return fields


def _fields_sent(sent: QueryDict) -> set[str]:
    """Return the fields of a key that a form speaks of, by their names in the services."""
    named = {_SENT_AS.get(name, name) for name in sent} & set(key_edits.EDITABLE)
    return named | ({"limits"} if limit_rows.are_sent(sent) else set())


def _text(label: str, before: str, after: str) -> Difference | None:
    return None if before == after else Difference(label, before=before, after=after)


def _set(label: str, before: Iterable[str], after: Iterable[str]) -> Difference | None:
    adds, removes = (sorted((Counter(a) - Counter(b)).elements()) for a, b in ((after, before), (before, after)))
    return Difference(label, adds=tuple(adds), removes=tuple(removes)) if adds or removes else None


def _resources(before: list[str], after: list[str]) -> Difference | None:
    """Return what is different; to take the last one away is to open everything, and must not read as a removal."""
    if before and after:
        return _set("Resources", before, after)
    return _text("Resources", *(f"only {', '.join(paths)}" if paths else "everything" for paths in (before, after)))


def _limits(key: Key) -> list[str]:
    return [limit_words.in_one_line(rule) for rule in load_key_rules(key.limits)]


def _end(moment: datetime | None) -> str:
    return times.in_full(moment) if moment else "never"
