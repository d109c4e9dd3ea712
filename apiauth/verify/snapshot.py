"""All keys, apps and limits in memory, so that a check asks nobody.

A poll asks for rows whose `change_xid` is not below the horizon of the poll before. The
horizon is the oldest transaction that was still running then: whatever was not visible was
written by it or a later one, so a transaction that commits late is never skipped, as it would
be by a sequence or a timestamp.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import psycopg
import structlog

from apiauth.audit.statements import statements
from apiauth.core.errors import Invalid
from apiauth.core.limits import BUILT_IN, LimitRule, load_rules
from apiauth.core.policy import MANUAL, RotationPolicy

log = structlog.get_logger(__name__)
sql = statements(Path(__file__).parent / "sql")

CLOCK_JUMP_NS = 2_000_000_000
_FETCH_ROWS = 2_000
_MOST_SHARED = 10_000
_TEXTS = msgspec.json.Decoder(tuple[str, ...])
_ROTATION = msgspec.json.Decoder(RotationPolicy)


class AnotherEpoch(Exception):
    """The database has begun another history, or a table was emptied: what is in memory counts as nothing."""


class Heading(NamedTuple):
    """What a poll begins with; see sql/heading.sql."""

    horizon: int
    seen: str
    epoch: int
    database_us: int
    has_changes: bool


class App(msgspec.Struct, gc=False):
    """What the gateway knows of an app; replaced by a new one whenever its row or its scheme changes."""

    id: int
    deployment_id: int
    slug: str
    key_prefix: str
    is_active: bool
    is_deleted: bool
    scheme_id: int | None
    user_id: str | None
    organization_id: str | None
    workspace_id: str | None
    change_xid: int
    rotation: RotationPolicy = MANUAL
    rules: tuple[LimitRule, ...] = ()


class Key(msgspec.Struct, gc=False):
    """What the gateway knows of a key. `prepared` is what the check made of it, for `app` alone."""

    id: int
    deployment_id: int
    app_id: int
    name: str
    digest: bytes
    permissions: tuple[str, ...]
    metadata: str
    allowed_cidrs: tuple[str, ...]
    expires_ms: int | None
    is_revoked: bool
    is_disabled: bool
    overlap_ends_ms: int | None
    created_ms: int
    change_xid: int
    prepared: Any = None


class BackendKey(msgspec.Struct, gc=False):
    """A backend key, for the gateway that asks its callers for one."""

    id: int
    digest: bytes
    deployment_id: int
    may_check: bool
    is_revoked: bool
    change_xid: int


class DatabaseClock:
    """The database's clock, reckoned by this host's monotonic one.

    Hosts' own clocks may be set or wrong; keys end and windows begin by the one clock that all share.
    """

    def __init__(self) -> None:
        self.offset_ns: int | None = None
        """What to add to the monotonic clock."""

    def hear(self, told_ns: int, asked_ns: int, answered_ns: int) -> None:
        """Take in what the database told between two moments; what these two cannot disprove stays as it was."""
        least, most = told_ns - answered_ns, told_ns - asked_ns
        self.offset_ns = least if self.offset_ns is None else min(max(self.offset_ns, least), most)


class Tables:
    """The rows of one history of the database. Only the listener's thread changes them.

    Readers take no lock: each change is one dictionary assignment of a finished object.
    """

    def __init__(self) -> None:
        self.keys: dict[bytes, Key] = {}
        self.apps: dict[int, App] = {}
        self.backend_keys: dict[bytes, BackendKey] = {}
        self.apps_by_prefix: dict[str, tuple[App, ...]] = {}
        self.horizon = 0
        self.epoch = 0
        self.seen = ""
        """The database's own name for the set of transactions whose changes are here."""
        self.clock = DatabaseClock()
        self._keys_by_id: dict[int, Key] = {}
        self._backend_keys_by_id: dict[int, BackendKey] = {}
        self._rules: dict[int, tuple[LimitRule, ...]] = {}
        self._scheme_xids: dict[int, int] = {}
        self._shared: dict[Any, Any] = {}

    def catch_up(self, connection: psycopg.Connection[Any], on_progress: Callable[[], object] = lambda: None) -> int:
        """Take in what changed since the last call; return how many rows that were.

        Limits come before the apps that use them and apps before their keys. The connection
        must give every statement of a transaction the same snapshot. `on_progress` is called
        now and then while much is read. Raises AnotherEpoch, with nothing taken in.
        """
        changed = 0
        heading = self._heading(connection)
        if heading.has_changes:
            with connection.transaction():
                heading = self._heading(connection)
                changed += self._take_schemes(self._rows(connection, "schemes", on_progress))
                changed += self._take_apps(self._rows(connection, "apps", on_progress))
                changed += self._take_keys(self._rows(connection, "keys", on_progress))
                changed += self._take_backend_keys(self._rows(connection, "backend_keys", on_progress))
        self.horizon, self.seen, self.epoch = heading.horizon, heading.seen, heading.epoch
        self._shared.clear()
        return changed

    def _heading(self, connection: psycopg.Connection[Any]) -> Heading:
        asked = time.monotonic_ns()
        row = connection.execute(sql("heading"), {"horizon": str(self.horizon)}).fetchone()
        answered = time.monotonic_ns()
        assert row is not None
        heading = Heading(*row)
        if self.epoch not in (0, heading.epoch):
            raise AnotherEpoch
        self.clock.hear(heading.database_us * 1000, asked, answered)
        return heading

    def _rows(
        self, connection: psycopg.Connection[Any], name: str, on_progress: Callable[[], object]
    ) -> Iterator[tuple[Any, ...]]:
        """Yield rows; the first read takes everything and must not hold all of it twice in memory."""
        horizon = {"horizon": str(self.horizon)}
        if self.horizon:
            yield from connection.execute(sql(name), horizon, binary=True)
            return
        with connection.cursor(name=name, binary=True) as cursor:
            cursor.itersize = _FETCH_ROWS
            for number, row in enumerate(cursor.execute(sql(name), horizon)):
                if number % _FETCH_ROWS == 0:
                    on_progress()
                yield row

    def _take_schemes(self, rows: Iterable[tuple[Any, ...]]) -> int:
        changed = set()
        for scheme_id, rules, change_xid in rows:
            if self._scheme_xids.get(scheme_id) != change_xid:
                self._rules[scheme_id] = _readable(scheme_id, rules)
                self._scheme_xids[scheme_id] = change_xid
                changed.add(scheme_id)
        for app in list(self.apps.values()):
            if app.scheme_id in changed:
                self._put_app(msgspec.structs.replace(app, rules=self._rules_of(app.scheme_id)))
        return len(changed)

    def _take_apps(self, rows: Iterable[tuple[Any, ...]]) -> int:
        changed = 0
        for row in rows:
            app = App(*row[:-1])
            known = self.apps.get(app.id)
            if known is None or known.change_xid != app.change_xid:
                app.rules, app.rotation = self._rules_of(app.scheme_id), _rotation(app.id, row[-1])
                self._put_app(app)
                changed += 1
        if changed:
            self._index_prefixes()
        return changed

    def _take_keys(self, rows: Iterable[tuple[Any, ...]]) -> int:
        changed = 0
        for row in rows:
            known = self._keys_by_id.get(row[0])
            if known is None or known.change_xid != row[13]:
                self._put_key(self._key(row), known)
                changed += 1
        return changed

    def _key(self, row: tuple[Any, ...]) -> Key:
        """Return a key. Equal values of one read are one object: most keys of an app differ in little."""
        share = self._shared.setdefault
        key = Key(*row)
        app = self.apps.get(key.app_id)
        if app is not None:
            key.app_id, key.deployment_id = app.id, app.deployment_id
        key.permissions = self._listed(row[5])
        key.metadata = share(key.metadata, key.metadata)
        key.allowed_cidrs = self._listed(row[7])
        key.change_xid = share(key.change_xid, key.change_xid)
        if len(self._shared) > _MOST_SHARED:
            self._shared.clear()
        return key

    def _listed(self, written: str) -> tuple[str, ...]:
        """Return a list that the database wrote as JSON: reading its arrays costs more than all the rest of a row."""
        listed: tuple[str, ...] | None = self._shared.get(("list", written))
        if listed is None:
            listed = self._shared["list", written] = _TEXTS.decode(written)
        return listed

    def _put_key(self, key: Key, known: Key | None) -> None:
        self.keys[key.digest] = key
        self._keys_by_id[key.id] = key
        if known is not None and known.digest != key.digest:
            self.keys.pop(known.digest, None)  # digested anew, under another pepper

    def _take_backend_keys(self, rows: Iterable[tuple[Any, ...]]) -> int:
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


def _readable(scheme_id: int, rules: Any) -> tuple[LimitRule, ...]:
    """Return a scheme's rules; what no service wrote and nobody can read is the built-in limit, not none."""
    try:
        return load_rules(rules)
    except (Invalid, TypeError):
        log.exception("snapshot.unreadable_scheme", scheme_id=scheme_id)
        return (BUILT_IN,)


def _rotation(app_id: int, written: str | None) -> RotationPolicy:
    """Return when an app's keys must be rotated; what nobody can read blocks none."""
    try:
        return MANUAL if written is None else _ROTATION.decode(written)
    except msgspec.MsgspecError:
        log.exception("snapshot.unreadable_policy", app_id=app_id)
        return MANUAL


class Snapshot:
    """The tables now in force, how old what they say may be, and what time it is."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.is_loaded = False
        self.confirmed_at = float("-inf")
        """A moment of the monotonic clock at which the tables said what the database said."""
        self.database_offset_ns = self.host_offset_ns = time.time_ns() - time.monotonic_ns()
        """What to add to the monotonic clock for the database's time, and for this host's when last confirmed."""

    def put(self, tables: Tables, confirmed_at: float) -> None:
        """Put tables in force that were read from the database no earlier than `confirmed_at`."""
        self.tables = tables
        self.confirm(confirmed_at)
        self.is_loaded = True

    def confirm(self, at: float) -> None:
        """Note that the tables in force said at this moment what the database said."""
        self.host_offset_ns = time.time_ns() - time.monotonic_ns()
        if self.tables.clock.offset_ns is not None:
            self.database_offset_ns = self.tables.clock.offset_ns
        self.confirmed_at = at

    def clock_has_jumped(self, monotonic_ns: int) -> bool:
        """Tell whether this host's clock moved against the monotonic one since the last poll.

        It was set, or the host stood still while the monotonic clock did not count: in either
        case nobody knows how old the tables are until the database has been asked again.
        """
        return abs(time.time_ns() - monotonic_ns - self.host_offset_ns) > CLOCK_JUMP_NS

    def app_by_prefix(self, prefix: str, deployment_id: int | None) -> App | None:
        """Return the one app that a presented prefix can mean; None where there are several, or none."""
        apps = self.tables.apps_by_prefix.get(prefix, ())
        if deployment_id is not None:
            apps = tuple(app for app in apps if app.deployment_id == deployment_id)
        return apps[0] if len(apps) == 1 else None
