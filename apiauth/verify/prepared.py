"""What a key comes to under its app: worked out once, then used by every check of it."""

from functools import lru_cache

import msgspec
import structlog

from apiauth.audit.record import fields
from apiauth.core.errors import Invalid
from apiauth.core.key_limits import load_key_rules
from apiauth.core.limits import LimitRule, Mode
from apiauth.core.resource import open_roots
from apiauth.core.short_texts import LONGEST_CACHED
from apiauth.verify.addresses import Address, Network, parse_networks
from apiauth.verify.entries import UNREADABLE, App, Key
from apiauth.verify.limiter import Claim, identity_by_address, identity_of
from apiauth.verify.rules import Facts, decide

log = structlog.get_logger(__name__)

NEVER_MS = 1 << 62
_SAME_FOR_ALL_CALLS = (Mode.PER_APP, Mode.PER_KEY)
_OWN = "own"  # stands where the id of a scheme does, which is a number or none
MOST_RECENT_CLAIMS = 10_000


class Prepared(msgspec.Struct, gc=False):
    """What a key comes to under its app as it is now. `rendered` belongs to the one who writes answers."""

    app: App
    sound_until_ms: int
    """No rule about the key's or the app's state blocks before this moment; 0 where one does already."""
    permissions: frozenset[str]
    networks: tuple[Network, ...] | None
    resources: tuple[str, ...] | None
    """The roots of what it may be used for; None for everything."""
    claims: tuple[Claim, ...] | None
    """The claims of every call, where neither its path nor its address changes them."""
    is_by_path: bool
    """Some limit holds for some paths only."""
    recorded: bytes
    """Whom the record of a decision is about, as it stands there, up to its limits."""
    recorded_limits: bytes | None
    """The limits of a call that is counted, as they stand there; None where they differ from path to path."""
    own_rules: tuple[LimitRule, ...] = ()
    """The key's own limits, which hold after those of its app."""
    rendered: object = None


def state_facts(
    key: Key,
    app: App,
    now_ms: int,
    *,
    ip_allowed: bool = True,
    resource_allowed: bool = True,
    permitted: bool = True,
) -> Facts:
    """Return the facts of a known key, as far as no limit is concerned."""
    return Facts(
        now_ms=now_ms,
        app_is_open=app.is_active and not app.is_deleted,
        revoked=key.is_revoked,
        disabled=key.is_disabled,
        overlap_ends_ms=key.overlap_ends_ms,
        expires_ms=key.expires_ms,
        rotation_due_ms=_overdue_from_ms(key, app),
        ip_allowed=ip_allowed,
        resource_allowed=resource_allowed,
        permitted=permitted,
    )


def _overdue_from_ms(key: Key, app: App) -> int | None:
    """Return from when on a key is blocked that was not rotated; one that was works to the end of its overlap."""
    return app.rotation.blocks_at_ms(key.created_ms) if key.overlap_ends_ms is None else None


def prepare(key: Key, app: App) -> Prepared:
    """Work out once what every check of a key needs."""
    moments = (key.overlap_ends_ms, key.expires_ms, _overdue_from_ms(key, app))
    until = min((moment for moment in moments if moment is not None), default=NEVER_MS)
    own_rules = _own_rules(key, app) if key.limits else ()
    is_by_path = any(rule.endpoints is not None for rule in (*app.rules, *own_rules))
    return Prepared(
        app=app,
        sound_until_ms=0 if decide(state_facts(key, app, 0)) is not None else until,
        permissions=_set_of(key.permissions),
        networks=_networks(key),
        resources=_resources(key, app),
        claims=_fixed_claims(key, app, own_rules),
        is_by_path=is_by_path,
        recorded=fields(app.deployment_id, app.id, key.id, key.name, None),
        recorded_limits=None if is_by_path else recorded_limits((*app.rules, *own_rules)),
        own_rules=own_rules,
    )


@lru_cache(maxsize=4_096)
def _set_of(permissions: tuple[str, ...]) -> frozenset[str]:
    """Return permissions as a set. Keys that may do the same share one: what is used often, a processor has at hand."""
    return frozenset(permissions)


@lru_cache(maxsize=4_096)
def recorded_limits(rules: tuple[LimitRule, ...]) -> bytes:
    """Return the limits of a call as they stand in its record; shared as permissions are."""
    return fields([rule.text for rule in rules])


def _fixed_claims(key: Key, app: App, own_rules: tuple[LimitRule, ...]) -> tuple[Claim, ...] | None:
    """Return the claims of every call, the app's first; None where path or address changes them."""
    if any(rule.endpoints is not None or rule.mode not in _SAME_FOR_ALL_CALLS for rule in (*app.rules, *own_rules)):
        return None
    return tuple(_claim(rule, key, app, "") for rule in app.rules) + tuple(
        _own_claim(rule, key, "") for rule in own_rules
    )


def _own_rules(key: Key, app: App) -> tuple[LimitRule, ...]:
    """Return a key's own limits; where nobody can read them, those of its app hold alone."""
    try:
        return load_key_rules(msgspec.json.decode(key.limits or "[]"), app.rules)
    except UNREADABLE:
        log.exception("prepared.unreadable_limits", key_id=key.id)
        return ()


def _networks(key: Key) -> tuple[Network, ...] | None:
    """Return where a key may be used from: None for anywhere. A list that nobody can read allows nothing."""
    if not key.allowed_cidrs:
        return None
    try:
        return parse_networks(key.allowed_cidrs)
    except ValueError:
        return ()


def _resources(key: Key, app: App) -> tuple[str, ...] | None:
    """Return what a key is bound to, as far as its app still names it: what is bound never opens everything."""
    if key.resources is None:
        return None
    try:
        return open_roots(key.resources, app.resources)
    except Invalid:
        log.exception("prepared.unreadable_resources", key_id=key.id)
        return ()


def claims_of(key: Key, prepared: Prepared, path: str, client: Address) -> tuple[Claim, ...]:
    """Return the claims of one call: a rule each that covers its path, with whom it counts."""
    app = prepared.app
    claims = tuple(_claim(rule, key, app, client.group) for rule in app.rules if rule.covers(path))
    if prepared.own_rules:
        claims += tuple(_own_claim(rule, key, client.group) for rule in prepared.own_rules if rule.covers(path))
    return claims


class RecentClaims:
    """The claims of late calls: with five limits, to work them out took half of a check."""

    def __init__(self, most: int = MOST_RECENT_CLAIMS) -> None:
        self._most = most
        self._known: dict[tuple[int, str, str], tuple[Prepared, tuple[Claim, ...]]] = {}

    def of(self, key: Key, prepared: Prepared, path: str, client: Address) -> tuple[Claim, ...]:
        """Return what `claims_of` returns."""
        if len(path) > LONGEST_CACHED and prepared.is_by_path:
            return claims_of(key, prepared, path, client)
        call = (key.id, client.group, path if prepared.is_by_path else "")
        known = self._known.get(call)
        if known is not None and known[0] is prepared:
            return known[1]
        if len(self._known) >= self._most:
            self._known.clear()
        claims = claims_of(key, prepared, path, client)
        self._known[call] = prepared, claims
        return claims


def _claim(rule: LimitRule, key: Key, app: App, group: str) -> Claim:
    """Return a rule with the identity of whom it counts in this call."""
    if rule.mode is Mode.PER_APP:
        return Claim(rule, identity_of(rule, app.scheme_id, "app", app.id))
    if rule.mode is Mode.PER_KEY:
        return Claim(rule, identity_of(rule, app.scheme_id, "key", key.id))
    if rule.mode is Mode.PER_IP:
        subject: tuple[object, ...] = ("ip", group)
    elif rule.mode is Mode.PER_APP_AND_IP:
        subject = ("app and ip", app.id, group)
    else:
        subject = ("key and ip", key.id, group)
    return Claim(rule, identity_by_address(rule, app.deployment_id, app.scheme_id, *subject))


def _own_claim(rule: LimitRule, key: Key, group: str) -> Claim:
    """Return a key's own rule with the identity of what it counts: never that of a scheme's rule, whatever its id."""
    if rule.mode is Mode.PER_KEY:
        return Claim(rule, identity_of(rule, _OWN, key.id))
    return Claim(rule, identity_by_address(rule, key.deployment_id, _OWN, key.id, group))
