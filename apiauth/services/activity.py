"""Writes the activity log and proves that nobody altered it."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import transaction

from apiauth.core.actor import Actor
from apiauth.core.events import Event
from apiauth.models.activity import (
    INSTALLATION_CHAIN,
    ActivityChain,
    ActivityEntry,
    app_chain,
    deployment_chain,
)

_GENESIS = bytes(32)


@transaction.atomic
def record(
    event: Event,
    *,
    actor: Actor,
    now: datetime,
    deployment_id: int | None = None,
    app_id: int | None = None,
    key_id: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> ActivityEntry:
    """Add one entry to the chain it belongs to: the app's, else the deployment's, else the installation's.

    Call it last in a service's transaction: it holds the chain's row until the commit.
    """
    told = [(key_id, details or {})]
    (entry,) = record_each(event, told, actor=actor, now=now, deployment_id=deployment_id, app_id=app_id)
    return entry


@transaction.atomic
def record_each(
    event: Event,
    told: Iterable[tuple[int | None, Mapping[str, Any]]],
    *,
    actor: Actor,
    now: datetime,
    deployment_id: int | None = None,
    app_id: int | None = None,
) -> list[ActivityEntry]:
    """Do what `record` does for what one act did to many keys: an entry for each key's id and details, in order."""
    chain = _locked_chain(chain_name(deployment_id=deployment_id, app_id=app_id))
    entries = []
    for key_id, details in told:
        entry = ActivityEntry(
            chain=chain,
            sequence=chain.length + 1,
            event=event,
            at=now,
            deployment_id=deployment_id,
            app_id=app_id,
            key_id=key_id,
            details=dict(details),
            previous_hash=bytes(chain.head),
            **_actor_columns(actor),
        )
        chain.length, chain.head = entry.sequence, _hash(entry)
        entry.hash = chain.head
        entries.append(entry)
    ActivityEntry.objects.bulk_create(entries)
    chain.save(update_fields=["length", "head"])
    return entries


def _locked_chain(name: str) -> ActivityChain:
    """Return a chain, locked until the commit; two that begin it at once make one."""
    chains = ActivityChain.objects.select_for_update()
    chain = chains.filter(name=name).first()
    if chain is None:
        ActivityChain.objects.get_or_create(name=name)
        chain = chains.get(name=name)
    return chain


def _actor_columns(actor: Actor) -> dict[str, Any]:
    personal = actor.personal()
    salts = {field: secrets.token_hex(16) for field in personal}
    return {
        "session_id": actor.session_id,
        "actor_kind": actor.kind,
        "actor_id": actor.id,
        "via": actor.via,
        "personal": personal,
        "salts": salts,
        "personal_digests": {field: _personal_digest(salts[field], value) for field, value in personal.items()},
    }


def chain_name(*, deployment_id: int | None, app_id: int | None) -> str:
    """Return the name of the chain that an action on this app or deployment is written to."""
    if app_id is not None:
        return app_chain(app_id)
    return deployment_chain(deployment_id) if deployment_id is not None else INSTALLATION_CHAIN


def erase_personal(entry: ActivityEntry, field: str) -> None:
    """Forget one personal value and its salt; the chain stays valid."""
    entry.personal.pop(field, None)
    entry.salts.pop(field, None)
    entry.save(update_fields=["personal", "salts"])


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """The first place where a chain does not hold."""

    chain: str
    sequence: int
    problem: str


def verify_chain(name: str) -> BrokenLink | None:
    """Walk one chain from its start; return the first broken link, or None where all hold."""
    chain = ActivityChain.objects.get(name=name)
    expected, head = 0, _GENESIS
    for entry in _entries(name):
        expected += 1
        if problem := _problem(entry, expected, head):
            return BrokenLink(name, expected, problem)
        head = bytes(entry.hash)
    if expected != chain.length or not hmac.compare_digest(head, bytes(chain.head)):
        return BrokenLink(name, expected + 1, "entries are missing at the end")
    return None


def verify_all() -> Iterator[tuple[str, int, BrokenLink | None]]:
    """Walk every chain; yield its name, its length and its first broken link."""
    for chain in ActivityChain.objects.order_by("name"):
        yield chain.name, chain.length, verify_chain(chain.name)


def _entries(name: str) -> Iterator[ActivityEntry]:
    return ActivityEntry.objects.in_chain(name).order_by("sequence").iterator(chunk_size=1000)


def _problem(entry: ActivityEntry, expected: int, head: bytes) -> str | None:
    if entry.sequence != expected:
        return f"entry {expected} is missing"
    if not hmac.compare_digest(bytes(entry.previous_hash), head):
        return "the entry does not follow the one before it"
    if not hmac.compare_digest(bytes(entry.hash), _hash(entry)):
        return "the entry was altered"
    for field, value in entry.personal.items():
        if entry.personal_digests.get(field) != _personal_digest(entry.salts.get(field, ""), value):
            return f"the entry's {field} was altered"
    return None


def _personal_digest(salt: str, value: str) -> str:
    return hashlib.sha256(f"{salt}:{value}".encode()).hexdigest()


def _hash(entry: ActivityEntry) -> bytes:
    """Return the HMAC-SHA-256 of the entry's lasting fields and the hash before it."""
    lasting = {
        "chain": entry.chain_id,
        "sequence": entry.sequence,
        "event": entry.event,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "ids": [entry.id, entry.deployment_id, entry.app_id, entry.key_id, entry.session_id],
        "actor": [entry.actor_kind, entry.actor_id, entry.via],
        "details": entry.details,
        "personal_digests": entry.personal_digests,
    }
    canonical = json.dumps(lasting, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    key = settings.ENVIRONMENT.activity_key
    return hmac.digest(key, bytes(entry.previous_hash) + canonical.encode(), "sha256")
