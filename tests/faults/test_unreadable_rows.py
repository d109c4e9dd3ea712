"""A row that nobody can read: a constraint refuses it, and without that it stops nothing but itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.utils import timezone

from apiauth.models import App, Key, RateLimitScheme
from apiauth.services import keys
from tests.support.database import dsn
from tests.support.gateways import GatewayInProcess

pytestmark = pytest.mark.django_db(transaction=True)

# Where, what, the constraint that refuses it, and what a check of the key comes to without that.
UNREADABLE = [
    ("apiauth_key", "expires_at", "'infinity'", "key_moments_are_some", (200, True)),
    ("apiauth_key", "created_at", "'-infinity'", "key_moments_are_some", (200, True)),
    ("apiauth_key", "permissions", "ARRAY[NULL, 'routes:read']", "key_lists_are_lists", (200, False)),
    ("apiauth_key", "allowed_cidrs", "ARRAY[ARRAY['0.0.0.0/0']]", "key_lists_are_lists", (200, False)),
    ("apiauth_key", "resources", "ARRAY[NULL, '/v1']", "key_lists_are_lists", (200, False)),
    ("apiauth_key", "metadata", "'[1]'", "key_documents_are_such", (200, True)),
    ("apiauth_key", "limits", "'{}'", "key_documents_are_such", (200, True)),
    ("apiauth_app", "resources", "ARRAY[NULL, '/v1']", "app_lists_are_lists", (200, True)),
    ("apiauth_app", "policy", "'[1]'", "app_policy_is_a_document", (200, True)),
    ("apiauth_ratelimitscheme", "rules", "'{}'", "scheme_has_rules", (200, True)),
    ("apiauth_ratelimitscheme", "rules", "'[]'", "scheme_has_rules", (200, True)),
    ("apiauth_ratelimitscheme", "rules", "'[{\"duration\": 1e400}]'", None, (200, True)),
]


@pytest.fixture
def app(make_app: Callable[..., App], deployment: Any) -> App:
    rules = [{"id": "r", "unit": "minute", "duration": 1, "max_requests": 9, "mode": "per_key"}]
    now = timezone.now()
    scheme = RateLimitScheme.objects.create(
        deployment=deployment, slug="s", name="S", rules=rules, created_at=now, updated_at=now
    )
    app = make_app(permissions=["routes:read"], resources=["/v1"])
    App.objects.filter(pk=app.pk).update(rate_limit_scheme=scheme)
    return app


@contextmanager
def without(connection: psycopg.Connection[Any], table: str, constraint: str | None) -> Iterator[None]:
    """Take a constraint of a table away for a while."""
    if constraint is None:
        yield
        return
    row = connection.execute("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s", [constraint])
    (check,) = row.fetchone() or ("",)
    connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
    try:
        yield
    finally:
        connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {constraint} {check}")


@pytest.mark.parametrize(("table", "column", "value", "constraint", "comes_to"), UNREADABLE)
def test_a_row_that_nobody_can_read_stops_nothing_but_itself(
    app: App,
    make_key: Callable[..., keys.IssuedKey],
    tmp_path: Path,
    table: str,
    column: str,
    value: str,
    constraint: str | None,
    comes_to: tuple[int, bool],
) -> None:
    spoilt, other = make_key("Spoilt", permissions=["routes:read"]), make_key("Other")
    where = f"WHERE id = {spoilt.key.pk}" if table == "apiauth_key" else ""
    spoil = f"UPDATE {table} SET {column} = {value} {where}"
    gateway = GatewayInProcess(tmp_path)
    try:
        with psycopg.connect(dsn(), autocommit=True) as connection:
            assert gateway.check(other.secret.text)[0] == 200
            if constraint is not None:
                with pytest.raises(psycopg.errors.CheckViolation, match=constraint):
                    connection.execute(spoil)
            (sound,) = connection.execute(f"SELECT {column}::text FROM {table} {where}").fetchone() or ("",)
            with without(connection, table, constraint):
                connection.execute(spoil)
                Key.objects.filter(pk=other.key.pk).update(revoked_at=timezone.now())
                gateway.until(other.secret.text, 401)
                status, answer = gateway.check(spoilt.secret.text, required_permissions=["routes:read"])
                assert (status, answer["allowed"]) == comes_to
                assert answer["rate_limits"] or not answer["allowed"], "never no limit at all"
                assert f"req_{gateway.records()[-1].id.hex()}" == answer["request_id"]
                connection.execute(f"UPDATE {table} SET {column} = %s {where}", [sound])
    finally:
        gateway.close()
