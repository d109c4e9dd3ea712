"""Doctor names what is wrong and what to do, and `check --deploy` knows unsafe settings."""

import os
import re
import socket
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import psycopg
import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from apiauth import checks
from apiauth.audit.record import frame
from apiauth.core import clock
from apiauth.core.limits import LimitRule, Unit
from apiauth.management import examination
from apiauth.models import ActivityEntry, GatewayStatus, PepperCheck
from apiauth.services import installation
from apiauth.verify.limiter import STRETCHES, Claim, Limiter, identity_by_address
from config import email
from tests.commands.conftest import Ran
from tests.db.test_drain import record as spool_record
from tests.support.database import dsn
from tests.support.decisions import decision, put_on_record
from tests.support.mail_queue import leave_mail

Run = Callable[..., Ran]


@pytest.fixture
def healthy(db: None, tmp_path: Path, settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, spool_dir=tmp_path, limits_dir=tmp_path / "limits")
    installation.remember_peppers(now=clock.now())
    gateway_on("h")


def gateway_on(host: str, **fields: Any) -> None:
    GatewayStatus.objects.create(
        **{
            "incarnation": uuid.uuid4(),
            "host": host,
            "pid": 1,
            "generation": 1,
            "confirmed_at": timezone.now(),
            "started_at": timezone.now(),
            **fields,
        }
    )


def failed(ran: Ran) -> list[str]:
    return [check["name"] for check in ran.json["checks"] if not check["ok"]]


def test_a_healthy_installation_ends_with_0(run: Run, healthy: None) -> None:
    ran = run("doctor", "--json")
    assert (failed(ran), ran.json["ok"], ran.code, ran.err) == ([], True, 0, "")


def test_a_direct_address_of_the_database_that_does_not_answer_is_named(run: Run, healthy: None, settings: Any) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # nobody listens there, and nobody else can
        url = f"postgresql://keystead:hush@127.0.0.1:{silent.getsockname()[1]}/keys"
        settings.ENVIRONMENT = replace(settings.ENVIRONMENT, direct_database_url=url)
        ran = run("doctor", "--json")
    assert (failed(ran), ran.code) == (["database"], 1)
    (told,) = [check for check in ran.json["checks"] if check["name"] == "database"]
    assert (told["detail"], "KEYSTEAD_DIRECT_DATABASE_URL" in told["advice"]) == (
        "does not answer past the pooler",
        True,
    )
    assert "hush" not in ran.out + ran.err


def test_a_direct_address_of_the_database_that_answers_is_well(run: Run, healthy: None, settings: Any) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, direct_database_url=dsn())
    assert failed(run("doctor", "--json")) == []


def test_every_failed_check_comes_with_advice(run: Run, healthy: None, settings: Any, tmp_path: Path) -> None:
    settings.ENVIRONMENT = replace(
        settings.ENVIRONMENT, spool_dir=tmp_path / "absent", gateway_url="http://8.8.8.8:8001"
    )
    GatewayStatus.objects.update(confirmed_at=timezone.now() - timedelta(minutes=5))
    PepperCheck.objects.update(fingerprint=bytes(32))
    ran = run("doctor", "--json")
    assert ran.code == 1
    assert failed(ran) == ["gateway_access", "pepper", "spool", "gateways"]
    assert all(check["advice"] for check in ran.json["checks"] if not check["ok"])


def test_a_pepper_that_nobody_noted_is_told(run: Run, healthy: None) -> None:
    PepperCheck.objects.update(version=7)
    ran = run("doctor", "--json")
    (told,) = [check for check in ran.json["checks"] if check["name"] == "pepper"]
    assert (told["ok"], "version 1 is not noted" in told["detail"], "migrate" in told["advice"]) == (False, True, True)


def test_gateways_count_for_as_long_as_their_own_stale_bound_has_them(run: Run, healthy: None) -> None:
    GatewayStatus.objects.update(confirmed_at=timezone.now() - timedelta(minutes=5), stale_bound_seconds=600)
    ran = run("doctor", "--json")
    assert failed(ran) == []
    assert "1 may answer, all heard within 30" in ran.out
    GatewayStatus.objects.update(stale_bound_seconds=60)
    assert failed(run("doctor", "--json")) == ["gateways"]


def test_a_spool_that_nobody_drains_is_a_problem(run: Run, healthy: None, tmp_path: Path) -> None:
    spool = tmp_path / "host-1-abc.spool"
    spool.write_bytes(b"x" * 100)
    long_ago = clock.now().timestamp() - 600
    os.utime(spool, (long_ago, long_ago))
    ran = run("doctor", "--json")
    assert failed(ran) == ["spool"]
    assert "100 bytes wait" in ran.out


def test_how_long_the_oldest_decision_waits_is_read_from_its_id(run: Run, healthy: None, tmp_path: Path) -> None:
    waiting = spool_record(moment=clock.now() - timedelta(seconds=90))
    (tmp_path / "host-1-abc.spool").write_bytes(frame(waiting))
    ran = run("doctor", "--json")
    assert failed(ran) == ["spool"]
    assert re.search(r"the oldest for 9\d s", ran.out)


def test_what_lies_in_the_spool_and_is_never_drained_is_named(run: Run, healthy: None, tmp_path: Path) -> None:
    (tmp_path / "loop.spool").symlink_to("loop.spool")
    os.mkfifo(tmp_path / "pipe.spool")
    for number in range(4):
        (tmp_path / f"folder{number}.spool").mkdir()
    ran = run("doctor", "--json")
    assert failed(ran) == ["spool"]
    names = "folder0.spool, folder1.spool, folder2.spool, folder3.spool, loop.spool and 1 more"
    assert f"0 bytes wait to be drained, the oldest for 0 s; no spool files: {names}" in ran.out
    assert f"Move them out of {tmp_path}" in ran.out


def test_damage_that_was_put_aside_is_a_problem_until_somebody_moved_it(
    run: Run, healthy: None, tmp_path: Path
) -> None:
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "host-1-abc.spool.0.bad").write_bytes(b"noise")
    ran = run("doctor", "--json")
    assert failed(ran) == ["quarantine"]
    assert "1 kept on this host" in ran.out


def test_decisions_without_a_partition_of_their_day_are_a_problem_until_they_have_one(run: Run, healthy: None) -> None:
    put_on_record(decision(datetime(2019, 4, day, 23, 59, tzinfo=UTC)) for day in (7, 5))
    ran = run("doctor", "--json")
    assert failed(ran) == ["strays"]
    assert "2 decisions of 2019-04-05 to 2019-04-07 lie in no partition of their day" in ran.out
    with connection.cursor() as cursor:
        for _ in range(2):
            (finding,) = (check for check in run("doctor", "--json").json["checks"] if check["name"] == "strays")
            cursor.execute(re.findall(r"SELECT keystead_\w+\('[^)]+'\)", finding["advice"])[0])
    assert failed(run("doctor", "--json")) == []


@pytest.mark.parametrize(
    ("gateways", "expected"),
    [
        ([("h", "host")], []),
        ([("other", "host")], ["limits"]),
        ([("other", "shared")], ["limits"]),
    ],
    ids=["one host", "two that count apart", "one of two that counts apart"],
)
def test_hosts_that_count_limits_apart_are_a_problem(
    run: Run, healthy: None, gateways: list[tuple[str, str]], expected: list[str]
) -> None:
    for host, limits in gateways:
        gateway_on(host, limits=limits)
    gateway_on("gone", limits="host", confirmed_at=timezone.now() - timedelta(minutes=5))
    assert failed(run("doctor", "--json")) == expected


def test_counts_that_find_no_room_are_a_problem_for_an_hour(run: Run, healthy: None, tmp_path: Path) -> None:
    limiter = Limiter(tmp_path / "limits", slots=64)
    rule = LimitRule(id="r", unit=Unit.CALENDAR_MONTH, duration=1, max_requests=5)
    for number in range(64 // STRETCHES + 6):
        limiter.take([Claim(rule, identity_by_address(rule, 1, number))], clock.now_ms())
    limiter.close()
    ran = run("doctor", "--json")
    assert failed(ran) == ["limit_slots"]
    assert "6 calls were denied" in ran.out
    with time_machine.travel(clock.now() + timedelta(minutes=61)):
        assert "limit_slots" not in failed(run("doctor", "--json"))


@pytest.mark.parametrize(
    ("server", "minutes", "expected"),
    [(True, 5, []), (True, 16, ["mails"]), (False, 1, ["mails"])],
    ids=["a while", "long", "no server is set"],
)
def test_mails_that_nobody_takes_are_a_problem(
    run: Run,
    healthy: None,
    settings: Any,
    make_key: Callable[..., Any],
    server: bool,
    minutes: int,
    expected: list[str],
) -> None:
    named = email.read("smtp://127.0.0.1:9", "keys@example.com", None) if server else None
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, email=named)
    leave_mail(make_key().key, clock.now() - timedelta(minutes=minutes))
    ran = run("doctor", "--json")
    assert failed(ran) == expected
    assert "1 wait to be sent" in ran.out


def test_hosts_that_share_their_limits_are_well(run: Run, healthy: None) -> None:
    GatewayStatus.objects.update(limits="shared")
    gateway_on("other", limits="shared")
    assert "limits: shared by all hosts" in run("doctor").out


def history_of(ran: Ran) -> tuple[bool, str, str]:
    (found,) = (check for check in ran.json["checks"] if check["name"] == "history")
    return found["ok"], found["detail"], found["advice"]


def test_a_restored_database_says_from_when_its_data_is(run: Run, healthy: None, make_key: Callable[..., Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE apiauth_history SET epoch = 1")
    assert history_of(run("doctor", "--json")) == (True, "never restored or failed over", "")

    make_key()
    restored = ActivityEntry.objects.order_by("-pk").values_list("at", flat=True)[0]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE apiauth_history SET identity = 'of the database that was dumped'")
    is_ok, detail, advice = history_of(run("doctor", "--json"))
    assert (is_ok, f"{restored:%Y-%m-%d %H:%M:%S} UTC" in detail, "migrate" in advice) == (False, True, True)

    with time_machine.travel(clock.now() + timedelta(hours=1)):
        assert installation.note_history()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE apiauth_history SET since = since + interval '30 minutes'")
        make_key("later")
    is_ok, detail, _ = history_of(run("doctor", "--json"))
    assert is_ok
    assert detail.endswith(f"the newest action before: {restored:%Y-%m-%d %H:%M:%S} UTC")


def test_a_notification_queue_that_a_client_keeps_from_being_emptied_is_a_problem(
    run: Run, healthy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "QUEUE_PART", 0.0)  # ten million changes would be needed for one in a hundred
    with psycopg.connect(dsn()) as stuck, psycopg.connect(dsn(), autocommit=True) as writer:
        stuck.execute("LISTEN keystead_changes")
        stuck.commit()
        stuck.execute("SELECT 1")
        writer.execute("SELECT pg_notify('keystead_changes', number::text) FROM generate_series(1, 2000) AS number")
        ran = run("doctor", "--json")
    assert failed(ran) == ["notifications"]


def test_without_json_a_person_reads_lines(run: Run, healthy: None) -> None:
    assert "ok        database: PostgreSQL" in run("doctor").out


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"gateway_url": "http://8.8.8.8:8001"}, ["keystead.W004"]),
        ({"gateway_url": "http://8.8.8.8:8001", "gateway_auth": "token"}, []),
        ({"gateway_url": "http://8.8.8.8:8001", "gateway_allow": (ip_network("8.8.4.4/32"),)}, []),
        ({"public_url": "http://keys.example"}, ["keystead.W003"]),
        ({"public_url": "https://keys.example"}, ["keystead.W006"]),
        ({"public_url": "https://keys.example", "trusted_proxies": (ip_network("10.0.0.0/8"),)}, []),
    ],
    ids=["safe", "open gateway", "token", "allow list", "plain http", "unknown proxy", "trusted proxy"],
)
def test_unsafe_settings_are_named(settings: Any, change: dict[str, Any], expected: list[str]) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, **change)
    assert [message.id for message in checks.check_environment(None)] == expected


def test_secrets_that_others_can_read_are_named(settings: Any, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets" / "peppers").write_text("1:x")
    (tmp_path / "secrets" / "peppers").chmod(0o644)
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, data_dir=tmp_path)
    assert [str(message.msg) for message in checks.check_environment(None)] == ["Others can read peppers."]


def test_debug_and_any_host_are_named(settings: Any) -> None:
    settings.DEBUG, settings.ALLOWED_HOSTS = True, ["*"]
    assert [message.id for message in checks.check_environment(None)] == ["keystead.W001", "keystead.W002"]
