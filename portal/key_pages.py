"""What the pages of a key show, and what their forms do."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from apiauth.audit import series
from apiauth.audit.calls import newest_of_key
from apiauth.audit.search import LONGEST_RANGE
from apiauth.core import permission_words, resource_words
from apiauth.core.limits import LimitRule
from apiauth.core.policy import RotationPolicy
from apiauth.models import ActivityEntry, Key
from apiauth.models.activity import app_chain
from apiauth.services import keys, propagation
from apiauth.verify.replay import Proposal
from portal import (
    impact_words,
    inputs,
    limit_use,
    lineages,
    overlap,
    policy_lines,
    revoke_words,
    times,
    traffic,
)
from portal.activity_words import FIELDS, Sentence, sentences
from portal.form_page import Lineage
from portal.forms import OverlapForm, RevokeKeyForm, RotateKeyForm
from portal.key_forms import CreateKeyForm
from portal.session import PortalRequest

RECENT = 10
CHANGES = ("revoked", "undone", "overlap-ended", "overlap-changed", "disabled", "enabled", "edited")
LIST_NOTICES = {"secret": "Paste only the last 4 characters of a secret. What you pasted was not kept."}


def create(request: PortalRequest, form: CreateKeyForm) -> keys.IssuedKey:
    """Make the key that a form describes."""
    return keys.create_key(
        app_id=request.app.pk,
        name=form.cleaned_data["name"],
        note=form.cleaned_data["note"],
        permissions=form.granted(),
        allowed_cidrs=form.ranges(),
        resources=form.cleaned_data["resources"],
        expires_at=form.expires_at(),
        form=form.submitted(request),
        owner=request.session_row.owner,
        ceiling=request.session_row.ceiling,
        actor=request.actor,
        now=request.now,
    )


def rotate(request: PortalRequest, form: RotateKeyForm, key: Key) -> keys.IssuedKey:
    """Rotate a key as a form says."""
    return keys.rotate_key(
        app_id=request.app.pk,
        key_id=key.pk,
        overlap=form.length(),
        form=form.submitted(request),
        ceiling=request.session_row.ceiling,
        actor=request.actor,
        now=request.now,
    )


def change_overlap(request: PortalRequest, form: OverlapForm, key: Key) -> Key:
    """Let the old secret of a rotated key work as long as a form says."""
    return keys.change_overlap(
        app_id=request.app.pk,
        key_id=key.pk,
        until=form.until(),
        ceiling=request.session_row.ceiling,
        actor=request.actor,
        now=request.now,
    )


@transaction.atomic
def revoke(request: PortalRequest, form: RevokeKeyForm, lineage: Lineage) -> Key:
    """Revoke a key, and with it the old secrets that still work where the form says so."""
    reason = form.sentence()
    ending = [lineage.key.pk]
    if form.cleaned_data["old_too"]:
        ending += [old.pk for old in lineage.old_ones]
    for key_id in ending:
        keys.revoke_key(app_id=request.app.pk, key_id=key_id, reason=reason, actor=request.actor, now=request.now)
    return lineage.key


def about(request: PortalRequest, lineage: Lineage) -> dict[str, Any]:
    """Return what the forms about one key show of it."""
    key = lineage.key
    return {
        "key": key,
        "key_id": str(key.pk),
        "now": request.now,
        "old_ones": lineage.old_ones,
        "overlaps_until": key.overlap_ends_at if key.replaced_by_id else None,
    }


def ending(request: PortalRequest, lineage: Lineage) -> dict[str, Any]:
    """Return what revoking a key would break, as far as the counts and the recent calls know.

    The old secrets that still work are in all of it: the form ends them too unless it is told not to.
    """
    key, olds = lineage.key, lineage.old_ones
    row, *old_rows = rows = [lineages.row(each, rights=request.rights, now=request.now) for each in (key, *olds)]
    start = request.now - timedelta(hours=24)
    ids = [each.pk for each in (key, *olds)]
    totals = series.totals_of_keys(app_id=request.app.pk, key_ids=ids, start=start, end=request.now)
    breaks = breakage(request, key, Proposal(revoked=True), others=olds)
    return {
        "totals": totals,
        "calls": totals.allowed + totals.blocked,
        "row": row,
        "last": revoke_words.last_called(rows),
        "verdict": revoke_words.verdict(row, old_rows, request.app.policy.rotation, breaks.lag, request.now),
        "breakage": breaks,
        "undo": policy_lines.undo_line(request.app.policy),
    }


def is_in_use(lineage: Lineage, rotation: RotationPolicy, now: datetime) -> bool:
    """Tell whether ending a key, and with it its old secrets, would end calls: one was made within a day."""
    return any(revoke_words.is_called(key, rotation, now) for key in (lineage.key, *lineage.old_ones))


def disabling(request: PortalRequest, key: Key) -> dict[str, Any]:
    """Return what disabling a key would break."""
    return {"breakage": breakage(request, key, Proposal(disabled=True))}


def breakage(
    request: PortalRequest, key: Key, proposal: Proposal, *, others: Collection[Key] = ()
) -> impact_words.Breakage:
    """Return what a change to a key, and to others with it, would have blocked, as far as the session may see it."""
    see_addresses = request.rights.see_addresses
    return impact_words.breakage(key, proposal, others=others, see_addresses=see_addresses, now=request.now)


def detail(request: PortalRequest, lineage: Lineage) -> dict[str, Any]:
    """Return everything on the page of one key."""
    key, span = lineage.key, inputs.RANGES["7d"]
    rules = limit_use.rules_of(request.app, key) if key.is_active(request.now) else ()
    newest = _newest(request, key, rules, request.now - span.length)
    hours, minutes = series.hours_and_minutes_of_key(
        app_id=key.app_id,
        key_id=key.pk,
        hours_from=span.start(request.now),
        minutes_from=request.now - limit_use.LOOKED_BACK,
        end=request.now,
    )
    row, *olds = (lineages.row(each, rights=request.rights, now=request.now) for each in (key, *lineage.old_ones))
    return about(request, lineage) | {
        "row": row,
        "permissions": permission_words.held_permissions(key.permissions, request.app.permissions),
        "resources": resource_words.bound_resources(key.resources, request.app.resources),
        "refused_everywhere": _refused_everywhere(request, row),
        "secrets": overlap.secrets_of(row, olds, see_addresses=request.rights.see_addresses, now=request.now)
        if olds
        else [],
        "undo_until": request.rights.undo(key, request.now),
        "newest": lineage.newest,
        "chart": traffic.drawn(hours, span, request.now),
        "uses": limit_use.of_key(rules, newest, minutes, request.now),
        "decisions": newest.rows_since(request.now - span.length, RECENT),
        "sentences": _sentences(request, key),
        "rights": request.rights,
        "cannot": request.rights.cannot(key) if row.is_active and not row.is_old else "",
        "warning": policy_lines.rotation_warning(key, request.app.policy.rotation, request.now),
        "lines": policy_lines.lines(request.app.policy),
        "due_at": key.rotation_deadline(request.app.policy.rotation),
        "notice": _notice(request, key),
        "propagation": propagation.of_told(key) if is_after_change(request) else None,
        "session_id": request.session_id,
        "range": span,
    }


def _newest(request: PortalRequest, key: Key, rules: Collection[LimitRule], start: datetime) -> limit_use.Newest:
    """Return the newest decisions about a key that is within reach: those to show, and more to look for limits in."""
    looked_from = max(limit_use.looked_from(rules, start, request.now), request.now - LONGEST_RANGE)
    most = limit_use.LOOKED_AT if rules else RECENT
    found = newest_of_key(app_id=key.app_id, key_id=key.pk, start=looked_from, end=request.now, most=most + 1)
    return limit_use.newest(key, found[:most], start, has_more=len(found) > most)


def _refused_everywhere(request: PortalRequest, row: lineages.KeyRow) -> str:
    """Return the sentence for a key that opens nothing although it has not ended."""
    lives_on = row.is_active or row.is_disabled
    return resource_words.refused_everywhere(row.key.resources, request.app.resources) if lives_on else ""


def is_after_change(request: PortalRequest) -> bool:
    """Tell whether an address says that a key has just been changed."""
    return request.GET.get("notice") in CHANGES


def secret(request: PortalRequest, issued: keys.IssuedKey, replaced: Key | None) -> dict[str, Any]:
    """Return what the one page with the secret shows."""
    if replaced is not None:
        replaced.refresh_from_db()
    return {
        "key": issued.key,
        "secret": issued.secret.text,
        "variable": f"{issued.key.key_prefix.upper()}_API_KEY",
        "test_url": request.app.test_url,
        "replaced": replaced,
        "now": request.now,
        "old_works": replaced is not None and replaced.is_active(request.now),
    }


def list_notice(name: str) -> str:
    """Return the sentence above the list that an address asks for."""
    return LIST_NOTICES.get(name, "")


def _sentences(request: PortalRequest, key: Key) -> list[Sentence]:
    """Return what was done with a key and with those before it in its lineage, where the session may see that."""
    if not request.rights.see_activity:
        return []
    entries = ActivityEntry.objects.in_chain(app_chain(request.app.pk)).newest_first().only(*FIELDS)
    if key.lineage_id == key.pk:
        entries = entries.filter(key_id=key.pk)
    else:
        before = Key.objects.within(request.reach).filter(lineage_id=key.lineage_id, pk__lte=key.pk)
        entries = entries.filter(key_id__in=before.values("pk"))
    return sentences(entries[:RECENT], with_addresses=request.rights.see_addresses)


def _notice(request: PortalRequest, key: Key) -> str:
    """Return the result that an address speaks of, only where the key bears it out."""
    name = request.GET.get("notice", "")
    if name == "revoked" and key.revoked_at:
        return f"{key.name} is revoked. Every gateway stops accepting it within a second."
    if name == "disabled" and key.disabled_at:
        return f"{key.name} is disabled. Its calls are blocked until it is enabled again."
    if name == "enabled" and key.is_active(request.now):
        return f"{key.name} is enabled. Its calls are let through again."
    if name == "undone" and not key.revoked_at:
        return f"{key.name} is back. Its secret is the same, and its calls are let through again."
    if name == "edited":
        return f"{key.name} is changed."
    if name == "overlap-changed" and key.overlap_ends_at and key.overlap_ends_at > request.now:
        return f"The old secret of {key.name} works until {times.in_full(key.overlap_ends_at)}."
    if name == "overlap-ended" and key.overlap_ends_at and key.overlap_ends_at <= request.now:
        return f"The old secret of {key.name} no longer works."
    return ""
