"""What the portal's tests share: bodies of forms, and decisions to look at."""

import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db.models import F
from django.test import Client

from apiauth.core import clock, ids
from apiauth.models import App, Decision, Key
from apiauth.models.audit import AppRollup, DecisionRollup, KeyUsage, MinuteRollup
from tests.support.decisions import name_of

HIDDEN = re.compile(r'name="(session|form_token|csrfmiddlewaretoken)" value="([^"]+)"')
SECRET = re.compile(r"nw_live_[0-9A-Za-z]{49}")


def hidden_fields(html: str) -> dict[str, str]:
    """Return the hidden fields that guard a page's last form."""
    return dict(HIDDEN.findall(html))


@pytest.fixture(autouse=True)
def plain_static_files(settings: Any) -> None:
    """Serve static files by their own names: no test of a page needs them collected first."""
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    settings.STORAGES = {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture
def filled() -> Callable[..., dict[str, str]]:
    """Open a form's page and return what a person would send from it."""

    def fill(client: Client, address: str, **fields: str) -> dict[str, str]:
        return hidden_fields(client.get(address).content.decode()) | fields

    return fill


@pytest.fixture
def make_many_keys(app: App) -> Callable[..., list[Key]]:
    """Make so many keys at once, of which nothing is on record."""

    def make(count: int, **fields: Any) -> list[Key]:
        now, first = clock.now(), ids.new_id()
        about = {"key_prefix": app.key_prefix, "key_suffix": "abcd", "pepper_version": 1, "created_at": now}
        owner = {"deployment_id": app.deployment_id, "app_id": app.pk, "updated_at": now}
        return Key.objects.bulk_create(
            Key(
                id=row,
                lineage_id=row,
                name=f"key {row}",
                digest=secrets.token_bytes(32),
                **{**about, **owner, **fields},
            )
            for row in range(first, first + count)
        )

    return make


@pytest.fixture
def make_decision(app: App) -> Callable[..., Decision]:
    def make(*, rule: str | None = None, at: datetime | None = None, **fields: object) -> Decision:
        moment = clock.from_ms(clock.to_ms(at or clock.now() - timedelta(minutes=1)))
        values = {
            "id": ids.new_decision_id(clock.to_ms(moment)),
            "decided_at": moment,
            "app_id": app.pk,
            "allowed": rule is None,
            "rule": rule,
            "blocked_by": rule,
            "method": "GET",
            "path": "/v2/routes",
            "client_ip": "203.0.113.24",
            "user_agent": "acme-sync/3.1",
            "required_permissions": [],
            "rate_limits": [],
            "snapshot_age_ms": 200,
            "duration_us": 80,
            "node": name_of("gateway-1"),
            **fields,
        }
        if isinstance(called := values.get("key_name"), str):
            values["key_name"] = name_of(called)
        return Decision.objects.create(**values)

    return make


@pytest.fixture
def count_calls(app: App) -> Callable[..., None]:
    """Put counts by the hour and by the minute on record, as the worker would."""

    def count(key_id: int, number: int, *, rule: str = "", at: datetime | None = None) -> None:
        minute = (at or clock.now()).replace(second=0, microsecond=0)
        hour = minute.replace(minute=0)
        counted = {"blocked" if rule else "allowed": number}
        by_minute = MinuteRollup.objects.filter(app_id=app.pk, minute=minute, key_id=key_id)
        if not by_minute.update(**{name: F(name) + more for name, more in counted.items()}):
            zero = {"allowed": 0, "blocked": 0}
            MinuteRollup.objects.create(app_id=app.pk, minute=minute, key_id=key_id, **(zero | counted))
        where = {"hour": hour, "app_id": app.pk, "rule": rule, "blocked_by": rule}
        DecisionRollup.objects.create(**where, deployment_id=app.deployment_id, key_id=key_id, count=number)
        if not AppRollup.objects.filter(**where).update(count=F("count") + number):
            AppRollup.objects.create(**where, count=number)

    return count


@pytest.fixture
def use_key(app: App) -> Callable[..., None]:
    def use(key_id: int, *, at: datetime | None = None) -> None:
        KeyUsage.objects.create(
            key_id=key_id,
            app_id=app.pk,
            last_used_at=at or clock.now(),
            client_ip="203.0.113.24",
            method="GET",
            path="/v2/routes",
            allowed=True,
        )

    return use
