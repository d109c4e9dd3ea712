"""Many keys are revoked at once: tried first, each once, and to the end although a process is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from apiauth.core.actor import Actor
from apiauth.core.errors import Conflict, Invalid, NotFound
from apiauth.core.key_filter import KeyFilter, read_filter
from apiauth.core.scope import Owner
from apiauth.models import ActivityEntry, App, GatewayStatus, Key, KeyUsage, MassRevoke
from apiauth.services import activity, key_edits, keys, mass_revoke
from tests.support.database import database_url
from tests.support.decisions import decision, put_on_record
from tests.support.gateways import GatewayInProcess
from tests.support.races import at_once
from tests.support.running import until

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]
MakeKey = Callable[..., keys.IssuedKey]
MakeApp = Callable[..., App]
KEYS = 2 * mass_revoke.BATCH + 50


def found(now: datetime, **fields: Any) -> set[str]:
    return {key.name for key in mass_revoke.find(read_filter(fields), now=now)}


def use_from(key: Key, address: str, now: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO apiauth_keyusage (key_id, app_id, last_used_at, client_ip, method, path, allowed) "
            "VALUES (%s, %s, %s, %s, 'GET', '/', true)",
            [key.pk, key.app_id, now, address],
        )


def test_a_filter_finds_what_fits_all_of_it(
    make_key: MakeKey, make_app: MakeApp, app: App, actor: Actor, now: datetime
) -> None:
    other = make_app("aa_2", key_prefix="nw_test")
    old = make_key("old", now=now - timedelta(days=9), permissions=["routes:read"]).key
    make_key("new", now=now, owner=Owner(user_id="dana"))
    make_key("other", in_app=other, now=now, owner=Owner(user_id="dana"))
    ended = make_key("ended", now=now - timedelta(days=9), permissions=["routes:read"]).key
    keys.revoke_key(app_id=app.pk, key_id=ended.pk, actor=actor, now=now)
    use_from(old, "203.0.113.9", now)
    assert found(now, app_id=app.pk) == {"old", "new"}
    assert found(now, deployment_id=app.deployment_id) == {"old", "new", "other"}
    assert found(now, key_prefix="nw_test") == {"other"}
    assert found(now, created_before=(now - timedelta(days=1)).isoformat()) == {"old"}
    assert found(now, created_after=(now - timedelta(days=1)).isoformat(), user_id="dana", app_id=app.pk) == {"new"}
    assert found(now, permission="routes:read") == {"old"}
    assert found(now, created_by="Test") == {"old", "new", "other"}
    assert found(now, last_used_from="203.0.113.0/24") == {"old"}
    assert found(now, last_used_from="198.51.100.0/24") == set()
    assert found(now, keys=[str(old.pk), f"nw_live_…{ended.key_suffix}"]) == {"old"}
    assert found(now, keys=[old.key_suffix]) == {"old"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, None),
        ({"keys": []}, None),
        ({"keys": ["nw_live_" + "a" * 38]}, "keys"),
        ({"keys": ["?"]}, "keys"),
        ({"keys": ["9" * 19]}, "keys"),
        ({"last_used_from": "nowhere"}, "last_used_from"),
        ({"app_id": "x"}, "app_id"),
        ({"everything": True}, None),
    ],
)
def test_a_filter_that_says_nothing_or_nonsense_is_refused(fields: dict[str, Any], field: str | None) -> None:
    with pytest.raises(Invalid) as refusal:
        read_filter(fields)
    assert refusal.value.field == field


def test_a_dry_run_says_what_would_be_and_changes_nothing(make_key: MakeKey, app: App, now: datetime) -> None:
    for number in range(3):
        make_key(f"key {number}", now=now)
    before = Key.objects.order_by("pk").values_list("pk", "revoked_at", "updated_at")
    rows = list(before)
    tried = mass_revoke.try_out(KeyFilter(app_id=app.pk), now=now)
    assert (tried.count, tried.apps, tried.calls_last_day) == (3, 1, 0)
    assert [key.name for key in tried.sample] == ["key 2", "key 1", "key 0"]
    assert list(before.all()) == rows
    assert not MassRevoke.objects.exists()


def test_a_dry_run_counts_the_calls_of_the_whole_last_day(make_key: MakeKey, app: App, now: datetime) -> None:
    known = {"app_id": app.pk, "deployment_id": app.deployment_id, "key_id": make_key().key.pk}
    late_in_its_hour = now.replace(minute=40, second=0, microsecond=0) - timedelta(hours=1)
    for ago in (timedelta(hours=1), timedelta(hours=23, minutes=50), timedelta(hours=25)):
        put_on_record([decision(late_in_its_hour - ago, **known)])
    assert mass_revoke.try_out(KeyFilter(app_id=app.pk), now=late_in_its_hour).calls_last_day == 2


def test_every_key_is_revoked_once_and_what_is_made_meanwhile_is_left(
    make_key: MakeKey, app: App, actor: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mass_revoke, "BATCH", 2)
    for _ in range(5):
        make_key(now=now)
    job = mass_revoke.start(KeyFilter(app_id=app.pk), reason="leaked", actor=actor, now=now)
    later = make_key("later", now=now + timedelta(seconds=1)).key
    assert [mass_revoke.run_batch(job, now=now + timedelta(seconds=2)) for _ in range(5)] == [2, 2, 1, 0, 0]
    assert mass_revoke.progress(job, now=now) == mass_revoke.Progress(found=5, left=0, is_finished=True)
    assert set(Key.objects.exclude(pk=later.pk).values_list("revoked_reason", "revoked_by")) == {("leaked", "Test")}
    later.refresh_from_db()
    assert later.revoked_at is None
    events = list(ActivityEntry.objects.order_by("sequence").values_list("event", flat=True))
    assert events.count("key.revoked") == 5
    assert events[-1] == "mass_revoke.finished"
    assert events.count("mass_revoke.started") == events.count("mass_revoke.finished") == 1
    assert mass_revoke.run_unfinished(now=now) == 0


def test_a_revoke_that_would_end_nothing_or_has_no_reason_is_refused(
    make_key: MakeKey, app: App, actor: Actor, now: datetime
) -> None:
    with pytest.raises(Conflict):
        mass_revoke.start(KeyFilter(app_id=app.pk), reason="leaked", actor=actor, now=now)
    make_key(now=now)
    with pytest.raises(Invalid):
        mass_revoke.start(KeyFilter(app_id=app.pk), reason=" ", actor=actor, now=now)
    with pytest.raises(NotFound):
        mass_revoke.start(KeyFilter(app_id=app.pk, deployment_id=1), reason="leaked", actor=actor, now=now)


def command(*arguments: object) -> list[str]:
    return [sys.executable, str(ROOT / "manage.py"), "revoke", *map(str, arguments), "--json"]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DATABASE_URL": database_url()}
    return subprocess.run(command(*arguments), env=environment, capture_output=True, text=True, check=False)


@pytest.mark.django_db(transaction=True)
def test_a_run_that_is_killed_goes_on_where_it_was(make_key: MakeKey, app: App) -> None:
    for _ in range(KEYS):
        make_key()
    tried = json.loads(run("--deployment", app.deployment_id, "--app", app.slug, "--dry-run").stdout)
    assert (tried["keys"], len(tried["sample"])) == (KEYS, 20)
    process = subprocess.Popen(
        command("--deployment", app.deployment_id, "--app", app.slug, "--reason", "leaked"),
        env={**os.environ, "DATABASE_URL": database_url()},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    process.stderr.readline()  # it has begun
    while not Key.objects.filter(revoked_at__isnull=False).exists():
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    job = MassRevoke.objects.get()
    left = Key.objects.filter(revoked_at=None).count()
    assert left > 0
    done = json.loads(run("--resume", job.pk).stdout)
    assert (done["id"], done["keys"], done["revoked"]) == (str(job.pk), KEYS, left)
    revoked = ActivityEntry.objects.filter(event="key.revoked").values_list("key_id", flat=True)
    assert sorted(revoked) == sorted(Key.objects.filter(revoked_reason="leaked").values_list("pk", flat=True))
    assert len(revoked) == KEYS
    assert all(broken is None for _, _, broken in activity.verify_all())


@pytest.mark.django_db(transaction=True)
def test_the_command_ends_once_no_gateway_lets_the_keys_through(make_key: MakeKey, app: App, tmp_path: Path) -> None:
    GatewayStatus.objects.all().delete()
    secret = make_key().secret.text
    gateway = GatewayInProcess(tmp_path)
    try:
        assert gateway.check(secret)[0] == 200
        answer = json.loads(run("--deployment", app.deployment_id, "--app", app.slug, "--reason", "leaked").stdout)
        assert gateway.check(secret)[1]["rule"] == "key_revoked"
        assert (answer["propagated"], answer["gateways"]) == (True, {"acknowledged": 1, "live": 1})
    finally:
        gateway.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("arguments", [(), ("--app", "aa_1"), ("--key", "abcd"), ("--resume", 1)])
def test_the_command_refuses_with_a_sentence(app: App, arguments: tuple[object, ...]) -> None:
    answer = run(*arguments)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr.strip().endswith(".")


@pytest.mark.parametrize("what", ["was used from elsewhere", "lost the permission"])
def test_a_key_that_fitted_as_a_run_began_is_revoked_whatever_became_of_it_before_its_turn(
    make_key: MakeKey, app: App, actor: Actor, now: datetime, *, what: str
) -> None:
    key = make_key(now=now - timedelta(days=1), permissions=["routes:read"]).key
    use_from(key, "203.0.113.9", now)
    wanted = {"last_used_from": "203.0.113.0/24"} if "used" in what else {"permission": "routes:read"}
    job = mass_revoke.start(read_filter(wanted), reason="leaked", actor=actor, now=now)
    if "used" in what:
        KeyUsage.objects.filter(key_id=key.pk).update(client_ip="198.51.100.1")
    else:
        changes = {"permissions": ["routes:write"]}
        key_edits.edit_key(app_id=app.pk, key_id=key.pk, changes=changes, actor=actor, now=now)
    assert not found(now, **wanted)
    assert mass_revoke.progress(job, now=now) == mass_revoke.Progress(found=1, left=1, is_finished=False)
    assert [mass_revoke.run_unfinished(now=now) for _ in range(2)] == [1, 0]
    key.refresh_from_db()
    assert key.revoked_reason == "leaked"


def somebody_waits_for_us() -> bool:
    """Tell whether another connection waits for a row that this one has locked."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
        )
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_two_runs_over_the_same_two_apps_wait_for_each_other(
    make_key: MakeKey, make_app: MakeApp, app: App, actor: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes the log of both apps; the second run's keys were made in the other order."""
    other = make_app("aa_2", key_prefix="nw_test")
    made = [make_key(in_app=where, now=now).key for where in (app, other, other, app)]
    assert [key.pk for key in made] == sorted(key.pk for key in made)
    jobs = [
        mass_revoke.start(KeyFilter(keys=tuple(str(key.pk) for key in half)), reason="leaked", actor=actor, now=now)
        for half in (made[:2], made[2:])
    ]
    have_a_log: set[int] = set()
    end = mass_revoke._end

    def end_and_hold_its_log(*given: Any) -> bool:
        ended = end(*given)
        have_a_log.add(threading.get_ident())
        until(lambda: len(have_a_log) == 2 or somebody_waits_for_us(), 10, "the other run has a log, or waits for ours")
        return ended

    monkeypatch.setattr(mass_revoke, "_end", end_and_hold_its_log)
    assert at_once([partial(mass_revoke.run_batch, job, now=now) for job in jobs], refusals=()) == []
    assert not Key.objects.filter(revoked_at=None).exists()
