"""All keys, apps and limits in memory, so that a check asks nobody.

A poll asks for rows whose `change_xid` is not below the horizon of the poll before. The
horizon is the oldest transaction that was still running then: whatever was not visible was
written by it or a later one, so a transaction that commits late is never skipped, as it would
be by a sequence or a timestamp.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import structlog

from apiauth.audit.statements import statements
from apiauth.core.errors import Invalid
from apiauth.core.limits import BUILT_IN, LimitRule, load_rules

log = structlog.get_logger(__name__)
sql = statements(Path(__file__).parent / "sql")

_FETCH_ROWS = 10_000


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
    rotation_due_ms: int | None
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
        self._keys_by_id: dict[int, Key] = {}
        self._backend_keys_by_id: dict[int, BackendKey] = {}
        self._rules: dict[int, tuple[LimitRule, ...]] = {}
        self._scheme_xids: dict[int, int] = {}

    def catch_up(self, connection: psycopg.Connection[Any]) -> int:
        """Take in what changed since the last call; return how many rows that were.

        Limits come before the apps that use them and apps before their keys. The connection
        must give every statement of a transaction the same snapshot.
        """
        with connection.transaction():
            row = connection.execute(sql("horizon")).fetchone()
            assert row is not None
            changed = self._take_schemes(self._rows(connection, "schemes"))
            changed += self._take_apps(self._rows(connection, "apps"))
            changed += self._take_keys(self._rows(connection, "keys"))
            changed += self._take_backend_keys(self._rows(connection, "backend_keys"))
        self.horizon = row[0]
        return changed

    def _rows(self, connection: psycopg.Connection[Any], name: str) -> Iterator[tuple[Any, ...]]:
        """Yield rows; the first read takes everything and must not hold all of it twice in memory."""
        horizon = {"horizon": str(self.horizon)}
        if self.horizon:
            yield from connection.execute(sql(name), horizon, binary=True)
            return
        with connection.cursor(name=name, binary=True) as cursor:
            cursor.itersize = _FETCH_ROWS
            yield from cursor.execute(sql(name), horizon)

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
            app = App(*row)
            known = self.apps.get(app.id)
            if known is None or known.change_xid != app.change_xid:
                app.rules = self._rules_of(app.scheme_id)
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
                self._put_key(_key(row), known)
                changed += 1
        return changed

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


def _key(row: tuple[Any, ...]) -> Key:
    key = Key(*row)
    key.permissions = tuple(key.permissions)
    key.allowed_cidrs = tuple(key.allowed_cidrs)
    return key


def _readable(scheme_id: int, rules: Any) -> tuple[LimitRule, ...]:
    """Return a scheme's rules; what no service wrote and nobody can read is the built-in limit, not none."""
    try:
        return load_rules(rules)
    except (Invalid, TypeError):
        log.exception("snapshot.unreadable_scheme", scheme_id=scheme_id)
        return (BUILT_IN,)


class Snapshot:
    """The tables now in force, and how old what they say may be."""

    def __init__(self) -> None:
        self.tables = Tables()
        self.is_loaded = False
        self.confirmed_at = float("-inf")
        """A moment of the monotonic clock at which the tables said what the database said."""

    def put(self, tables: Tables, confirmed_at: float) -> None:
        """Put tables in force that were read from the database no earlier than `confirmed_at`."""
        self.tables = tables
        self.confirmed_at = confirmed_at
        self.is_loaded = True

    def app_by_prefix(self, prefix: str, deployment_id: int | None) -> App | None:
        """Return the one app that a presented prefix can mean; None where there are several, or none."""
        apps = self.tables.apps_by_prefix.get(prefix, ())
        if deployment_id is not None:
            apps = tuple(app for app in apps if app.deployment_id == deployment_id)
        return apps[0] if len(apps) == 1 else None
