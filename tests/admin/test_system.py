"""The page that says how gateways and workers are."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.core import clock
from apiauth.models import GatewayStatus, SpoolFile
from tests.support.mail_queue import leave_mail


def gateway(host: str, *, silent_seconds: int, **fields: Any) -> None:
    heard = clock.now() - timedelta(seconds=silent_seconds)
    GatewayStatus.objects.create(
        incarnation=uuid.uuid4(), host=host, pid=4711, generation=770, confirmed_at=heard, started_at=heard, **fields
    )


def test_gateways_are_live_or_gone(administrator: Client) -> None:
    gateway("one.example", silent_seconds=2)
    gateway("two.example", silent_seconds=3600)
    page = administrator.get("/admin/system/").content.decode()
    one, two = page.index("one.example"), page.index("two.example")
    assert "Live" in page[one:two]
    assert "Gone" in page[two:]
    assert "4711" in page[one:two]
    assert "770" in page[one:two]


def test_a_silent_gateway_is_live_for_as_long_as_its_own_stale_bound_has_it(administrator: Client) -> None:
    gateway("long.example", silent_seconds=300, stale_bound_seconds=600)
    gateway("short.example", silent_seconds=300, stale_bound_seconds=60)
    page = administrator.get("/admin/system/").content.decode()
    long, short = page.index("long.example"), page.index("short.example")
    assert "Live" in page[long:short]
    assert "600 s" in page[long:short]
    assert "Gone" in page[short:]


def test_spools_say_by_host_what_was_drained_and_what_was_damaged(administrator: Client) -> None:
    now = clock.now()
    for name, records, damaged in (("a.spool", 40, 0), ("b.spool", 2, 3)):
        SpoolFile.objects.create(
            name=name, host="one.example", drained_bytes=9, records=records, quarantined=damaged, updated_at=now
        )
    (row,) = administrator.get("/admin/system/").context["spools"]
    assert (row["host"], row["decisions"], row["damaged"], row["unfinished"]) == ("one.example", 42, 3, 2)


def test_times_are_in_utc_and_say_so(administrator: Client) -> None:
    gateway("one.example", silent_seconds=2)
    page = administrator.get("/admin/system/").content.decode()
    assert "Since (UTC)" in page
    assert f"<td>{GatewayStatus.objects.get(host='one.example').started_at:%Y-%m-%d %H:%M}</td>" in page


def test_it_says_when_the_log_is_behind(administrator: Client) -> None:
    GatewayStatus.objects.all().delete()
    assert "may be missing from the log" not in administrator.get("/admin/system/").content.decode()
    gateway("without a worker", silent_seconds=300)
    page = administrator.get("/admin/system/").content.decode()
    assert "Decisions of the last 300 s may be missing from the log" in page


def test_it_says_how_many_mails_wait(administrator: Client, make_key: Callable[..., Any]) -> None:
    assert "No mail waits to be sent" in administrator.get("/admin/system/").content.decode()
    leave_mail(make_key().key, clock.now() - timedelta(seconds=90))
    assert "1 mail waits to be sent, for 90 s." in administrator.get("/admin/system/").content.decode()


@pytest.mark.parametrize("group", ["Support viewer", "Support agent", "Security"])
def test_all_of_the_staff_may_look_and_nobody_else(enter: Callable[..., Client], client: Client, group: str) -> None:
    assert enter(group).get("/admin/system/").status_code == 200
    assert client.get("/admin/system/").status_code == 302


def test_it_says_what_to_start_where_there_is_nothing(administrator: Client) -> None:
    page = administrator.get("/admin/system/").content.decode()
    assert "./keystead gateway" in page
    assert "No spool has been drained" in page
