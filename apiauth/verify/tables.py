"""The rows of one history of the database in memory, and how what changed is taken into them.

A poll asks for rows whose `change_xid` is not below the horizon of the poll before. The
horizon is the oldest transaction that was still running then: whatever was not visible was
written by it or a later one, so a transaction that commits late is never skipped, as it would
be by a sequence or a timestamp.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
import psycopg
import structlog

from apiauth.core.limits import BUILT_IN, LimitRule, load_rules
from apiauth.core.policy import MANUAL, RotationPolicy
from apiauth.verify.database_clock import DatabaseClock
from apiauth.verify.entries import UNREADABLE, App, BackendKey, Key
from apiauth.verify.reading import Heading, Reading, Row, keys_of
from apiauth.verify.resident import ResidentKeys

log = structlog.get_logger(__name__)

MOST_KEYS = 1_000_000
_MOST_SHARED = 10_000
Value = TypeVar("Value")

_read_texts = msgspec.json.Decoder(tuple[str, ...]).decode
_read_owner = msgspec.json.Decoder(tuple[str | None, str | None, str | None]).decode
_read_rules = msgspec.json.Decoder(list[dict[str, Any]]).decode
_ROTATION = msgspec.json.Decoder(RotationPolicy)


def _texts_or(otherwise: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """Return the reader of a list that comes to `otherwise` where nobody can read it."""

    def read(written: str) -> tuple[str, ...]:
        try:
            return _read_texts(written)
        except UNREADABLE:
            log.exception("snapshot.unreadable_list")
            return otherwise

    return read


_read_names = _texts_or(())  # of permissions or resources: none
_read_networks = _texts_or(("",))  # a place where nobody is: an empty list would be anywhere


class AnotherEpoch(Exception):
    """The database has begun another history, or a table was emptied: what is in memory counts as nothing."""


class Tables:
    """The rows of one history of the database, of keys at most `most_keys`. Only the listener's thread changes them.

    Readers take no lock: each change is one dictionary assignment of a finished object.
    """

    def __init__(self, most_keys: int = MOST_KEYS) -> None:
        self.keys = ResidentKeys(most_keys)
        self.apps: dict[int, App] = {}
        self.backend_keys: dict[bytes, BackendKey] = {}
        self.apps_by_prefix: dict[str, tuple[App, ...]] = {}
        self.horizon = 0
        self.epoch = 0
        self.identity = ""
        self.seen = ""
        """The database's own name for the set of transactions whose changes are here."""
        self.clock = DatabaseClock()
        self._counted_keys = 0
        self._backend_keys_by_id: dict[int, BackendKey] = {}
        self._rules: dict[int, tuple[LimitRule, ...]] = {}
        self._scheme_xids: dict[int, int] = {}
        self._shared: dict[Any, Any] = {}

    def catch_up(self, connection: psycopg.Connection[Any], on_progress: Callable[[], object] = lambda: None) -> int:
        """Take in what changed since the last call; return how many rows that were.

        Limits come before the apps that use them and apps before their keys. The connection
        must give every statement of a transaction the same snapshot. `on_progress` is called
        now and then while everything is read, and once all changes are, before they are taken in.
        Raises AnotherEpoch, with nothing taken in.
        """
        changed = 0
        reading = Reading(connection, self.horizon, on_progress)
        heading = self._note(reading.heading())
        if heading.has_changes and self.horizon:
            heading, rows = reading.changes()
            on_progress()
            self._note(heading)
            changed = self._take(*rows)
        elif heading.has_changes:
            with connection.transaction():
                heading = self._note(reading.heading())
                schemes, apps, backend_keys = map(reading.rows, ("schemes", "apps", "backend_keys"))
                changed = self._take(schemes, apps, self._first_keys(reading), backend_keys)
        self.horizon, self.seen = heading.horizon, heading.seen
        self.epoch, self.identity = heading.epoch, heading.identity
        self._counted_keys = max(self._counted_keys, heading.key_estimate)
        self._shared.clear()
        return changed

    @property
    def key_count(self) -> int:
        """How many keys there are; where not all of them are here, about."""
        return len(self.keys) if self.keys.is_complete else max(self._counted_keys, len(self.keys))

    def fetch(self, connection: psycopg.Connection[Any], digests: Collection[bytes]) -> dict[bytes, Key]:
        """Take in the keys with these digests, and note which are no key's; return the keys by digest.

        Nothing else reads rows meanwhile, so what is read here is no older than any change that
        was taken in, and the next call of `catch_up` brings every change after it.
        """
        rows = keys_of(connection, digests)
        if any(row[2] not in self.apps for row in rows):  # made after the last call of catch_up, and so were their keys
            self.catch_up(connection)
            rows = keys_of(connection, digests)
        found = {key.digest: key for key in map(self._key, rows)}
        for key in found.values():
            self.keys.put(key)
        self.keys.note_absent(digest for digest in digests if digest not in found)
        self._shared.clear()
        return found

    def _note(self, heading: Heading) -> Heading:
        """Return a heading of the history that these tables are of, with its clock taken in."""
        if self.epoch and (self.epoch, self.identity) != (heading.epoch, heading.identity):
            raise AnotherEpoch
        self.clock.hear(heading.database_us * 1000, heading.asked_ns, heading.answered_ns)
        return heading

    def _first_keys(self, reading: Reading) -> Iterator[Row]:
        """Yield all keys, or the newest where there are too many."""
        self._counted_keys = reading.count_keys()
        if self._counted_keys <= self.keys.most:
            return reading.changed_keys()
        self.keys.begin_incomplete(self._counted_keys)
        for digest in reading.digests():
            self.keys.expect(digest)
        return reading.newest_keys(self.keys.most // 2)

    def _take(
        self, schemes: Iterable[Row], apps: Iterable[Row], keys: Iterable[Row], backend_keys: Iterable[Row]
    ) -> int:
        changed = self._take_schemes(schemes) + self._take_apps(apps)
        return changed + self._take_keys(keys) + self._take_backend_keys(backend_keys)

    def _take_schemes(self, rows: Iterable[Row]) -> int:
        changed = set()
        for scheme_id, written, change_xid in rows:
            if self._scheme_xids.get(scheme_id) != change_xid:
                self._rules[scheme_id] = _readable(scheme_id, written)
                self._scheme_xids[scheme_id] = change_xid
                changed.add(scheme_id)
        for app in list(self.apps.values()):
            if app.scheme_id in changed:
                self._put_app(msgspec.structs.replace(app, rules=self._rules_of(app.scheme_id)))
        return len(changed)

    def _take_apps(self, rows: Iterable[Row]) -> int:
        changed = 0
        for row in rows:
            app = App(*row[:-2])
            known = self.apps.get(app.id)
            if known is None or known.change_xid != app.change_xid:
                app.rules, app.rotation = self._rules_of(app.scheme_id), _rotation(app.id, row[-1])
                app.resources = self._once(_read_names, row[-2])
                self._put_app(app)
                changed += 1
        if changed:
            self._index_prefixes()
        return changed

    def _take_keys(self, rows: Iterable[Row]) -> int:
        """Take in changed keys: those that are in memory, or all where all are. Others only are no longer absent."""
        changed = 0
        for row in rows:
            known = self.keys.known(row[0])
            if known is not None and known.change_xid == row[13]:
                continue
            if known is not None or self.keys.is_complete or not self.horizon:
                self.keys.put(self._key(row))
            else:
                self.keys.expect(row[4])
            changed += 1
        return changed

    def _key(self, row: Row) -> Key:
        """Return a key. Equal values of one read are one object: most keys of an app differ in little."""
        share = self._shared.setdefault
        key = Key(*row)
        app = self.apps.get(key.app_id)
        if app is not None:
            key.app_id, key.deployment_id = app.id, app.deployment_id
        key.permissions = self._once(_read_names, row[5])
        key.metadata = share(key.metadata, key.metadata)
        key.allowed_cidrs = self._once(_read_networks, row[7])
        key.resources = None if row[15] is None else self._once(_read_names, row[15])
        key.owner = None if row[16] is None else self._once(_read_owner, row[16])
        key.change_xid = share(key.change_xid, key.change_xid)
        if len(self._shared) > _MOST_SHARED:
            self._shared.clear()
        return key

    def _once(self, read: Callable[[str], Value], written: str) -> Value:
        """Return what the database wrote as JSON: reading its arrays costs more than all the rest of a row."""
        found: Value | None = self._shared.get((read, written))
        if found is None:
            found = self._shared[read, written] = read(written)
        return found

    def _take_backend_keys(self, rows: Iterable[Row]) -> int:
        changed = 0
        for row in rows:
            key = BackendKey(*row)
            known = self._backend_keys_by_id.get(key.id)
            if known is None or known.change_xid != key.change_xid:
                self.backend_keys[key.digest] = self._backend_keys_by_id[key.id] = key
                if known is not None and known.digest != key.digest:
                    self.backend_keys.pop(known.digest, None)
                changed += 1
        return changed

    def _put_app(self, app: App) -> None:
        self.apps[app.id] = app

    def _rules_of(self, scheme_id: int | None) -> tuple[LimitRule, ...]:
        if scheme_id is None or scheme_id not in self._rules:
            return (BUILT_IN,)
        return self._rules[scheme_id]

    def _index_prefixes(self) -> None:
        index: dict[str, tuple[App, ...]] = {}
        for app in self.apps.values():
            if not app.is_deleted:
                index[app.key_prefix] = (*index.get(app.key_prefix, ()), app)
        self.apps_by_prefix = index


def _readable(scheme_id: int, written: str) -> tuple[LimitRule, ...]:
    """Return a scheme's rules; what no service wrote and nobody can read is the built-in limit, not none."""
    try:
        return load_rules(_read_rules(written)) or (BUILT_IN,)
    except UNREADABLE:
        log.exception("snapshot.unreadable_scheme", scheme_id=scheme_id)
        return (BUILT_IN,)


def _rotation(app_id: int, written: str | None) -> RotationPolicy:
    """Return when an app's keys must be rotated; what nobody can read blocks none."""
    try:
        return MANUAL if written is None else _ROTATION.decode(written)
    except UNREADABLE:
        log.exception("snapshot.unreadable_policy", app_id=app_id)
        return MANUAL
