"""An app that keeps decisions for fewer days than the installation loses its own older ones, and nobody else's."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from apiauth.audit import app_retention, worker
from apiauth.audit.app_retention import forget_of_apps
from apiauth.audit.partitions import ensure_partitions
from apiauth.core import clock, ids
from apiauth.core.policy import read_policy
from apiauth.models import App, Decision, KeyUsage
from tests.support.decisions import name_of

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)
TODAY = date(2026, 11, 24)
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def opened() -> psycopg.Connection[Any]:
    database = connection.settings_dict["NAME"]
    return psycopg.connect(settings.ENVIRONMENT.database_url, dbname=database, autocommit=True)


@pytest.fixture
def direct() -> Iterator[psycopg.Connection[Any]]:
    """A worker's connection."""
    with opened() as ours:
        ensure_partitions(ours, today=TODAY - 8 * DAY)  # the days before lie in the default partition
        yield ours


def keep(app: App, days: int | None) -> None:
    App.objects.filter(pk=app.pk).update(policy=read_policy({"audit": {"keep_days": days}}))


def decide(app: App, at: datetime) -> Decision:
    moment = clock.from_ms(clock.to_ms(at))
    return Decision.objects.create(
        id=ids.new_decision_id(clock.to_ms(moment)),
        decided_at=moment,
        app_id=app.pk,
        allowed=True,
        method="GET",
        path="/",
        user_agent="",
        required_permissions=[],
        rate_limits=[],
        snapshot_age_ms=0,
        duration_us=1,
        node=name_of("n"),
    )


def test_the_last_whole_days_and_today_stay(
    direct: psycopg.Connection[Any], app: App, make_app: Callable[..., App]
) -> None:
    other = make_app("aa_2")
    keep(app, 7)
    kept = [decide(app, NOON), decide(app, NOON - 7 * DAY), decide(other, NOON - 40 * DAY)]
    for days in (8, 9, 40):
        decide(app, NOON - days * DAY)
    while forget_of_apps(direct, today=TODAY):
        pass
    assert {row.id for row in Decision.objects.all()} == {row.id for row in kept}


def test_of_a_partition_that_holds_more_days_only_the_older_go(direct: psycopg.Connection[Any], app: App) -> None:
    keep(app, 30)
    kept = decide(app, datetime(2026, 10, 25, tzinfo=UTC))  # thirty days before, from its first moment on
    decide(app, datetime(2026, 10, 24, 23, 59, 59, tzinfo=UTC))
    while forget_of_apps(direct, today=TODAY):
        pass
    assert [row.id for row in Decision.objects.all()] == [kept.id]


def test_an_app_that_says_nothing_keeps_what_the_installation_keeps(direct: psycopg.Connection[Any], app: App) -> None:
    decide(app, NOON - 400 * DAY)
    for days in (None, 3650):
        keep(app, days)
        assert not forget_of_apps(direct, today=TODAY)
    assert Decision.objects.count() == 1


def test_rows_go_in_bounded_batches_and_the_worker_drains_in_between(
    direct: psycopg.Connection[Any], app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app_retention, "BATCH_ROWS", 2)
    monkeypatch.setattr(app_retention, "MOST_BATCHES", 2)
    keep(app, 7)
    for minute in range(7):
        decide(app, NOON - 30 * DAY + timedelta(minutes=minute))
    left = []
    while forget_of_apps(direct, today=TODAY):
        left.append(Decision.objects.count())
    assert left == [3, 0]


def test_a_worker_comes_back_soon_while_there_is_more(direct: psycopg.Connection[Any], app: App) -> None:
    keep(app, 7)
    decide(app, clock.now() - 30 * DAY)
    assert worker._keep_house(direct, 0) == worker.MORE_TO_FORGET_SECONDS
    assert worker._keep_house(direct, 0) == worker.HOUSEKEEPING_SECONDS


def test_one_worker_at_a_time_does_it(direct: psycopg.Connection[Any], app: App) -> None:
    keep(app, 7)
    decide(app, NOON - 30 * DAY)
    with opened() as other:
        other.execute("SELECT pg_advisory_lock(hashtext('keystead_forget_of_apps'))")
        assert not forget_of_apps(direct, today=TODAY)
        assert Decision.objects.count() == 1
        other.execute("SELECT pg_advisory_unlock_all()")
    assert forget_of_apps(direct, today=TODAY)
    assert not Decision.objects.exists()


def test_the_address_of_a_last_use_goes_with_the_decision_about_it(
    direct: psycopg.Connection[Any], app: App, make_key: Callable[..., Any]
) -> None:
    keep(app, 7)
    use = {"app_id": app.pk, "client_ip": "203.0.113.24", "method": "GET", "path": "/", "allowed": True}
    old = KeyUsage.objects.create(key_id=make_key().key.pk, last_used_at=NOON - 8 * DAY, **use)
    recent = KeyUsage.objects.create(key_id=make_key().key.pk, last_used_at=NOON - 7 * DAY, **use)
    forget_of_apps(direct, today=TODAY)
    for usage in (old, recent):
        usage.refresh_from_db()
    assert (old.client_ip, old.last_used_at) == (None, NOON - 8 * DAY)
    assert recent.client_ip == "203.0.113.24"
