"""Decisions and activity leave through the backend API as files: whole, in order, bounded, on record, in one tenant."""

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.audit import search
from apiauth.core import clock
from apiauth.core.events import Event
from apiauth.models import App
from apiauth.models.activity import ActivityEntry, app_chain
from apiauth.services import activity_exports
from tests.support.decisions import decision, put_on_record

Make = Callable[..., Any]
Ask = Callable[..., Any]


@pytest.fixture
def take(backend: Client, app: App) -> Ask:
    """Ask for a file of decisions (`audit/logs`) or of activity (`activity`)."""

    def ask(what: str, **body: Any) -> Any:
        address = f"/api-auth/apps/{app.slug}/{what}/export"
        return backend.post(address, json.dumps(body), content_type="application/json")

    return ask


@pytest.fixture
def record(app: App) -> Make:
    """Put a decision on record, so many seconds ago."""

    def put(seconds: int = 0, **fields: Any) -> None:
        moment = clock.now() - timedelta(seconds=seconds)
        put_on_record([decision(moment, deployment_id=app.deployment_id, app_id=app.id, **fields)])

    return put


def rows_of(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.content
    text = answer.getvalue().decode()
    if answer["Content-Type"].startswith("text/csv"):
        return list(csv.DictReader(io.StringIO(text)))
    return [json.loads(line) for line in text.splitlines()]


def ids_of(answer: Any) -> list[str]:
    return [row["request_id"] for row in rows_of(answer)]


def test_every_decision_leaves_the_newest_first(take: Ask, record: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MOST_ROWS", 2)
    for seconds in range(5):
        record(seconds + 1, path=f"/v2/{seconds}")

    answer = take("audit/logs")

    assert answer.streaming
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="calls-')
    assert [row["path"] for row in rows_of(answer)] == [f"/v2/{seconds}" for seconds in range(5)]


def test_the_columns_are_those_of_the_portal(take: Ask, record: Make) -> None:
    record(1, rule="rate_limited", blocked_by="60/60s", client_ip="203.0.113.24", user_agent="=1+1")
    (table,), (line,) = rows_of(take("audit/logs")), rows_of(take("audit/logs", form="jsonl"))
    assert (table["client_ip"], table["user_agent"], table["rule"]) == ("203.0.113.24", "'=1+1", "rate_limited")
    assert line.keys() - table.keys() == {"rate_limits"}
    assert (line["user_agent"], line["outcome"]) == ("=1+1", "blocked")


def test_a_file_goes_on_behind_the_last_line_of_another(take: Ask, record: Make) -> None:
    for seconds in range(5):
        record(seconds + 1)
    whole = ids_of(take("audit/logs"))
    first = ids_of(take("audit/logs", limit=2))
    rest = ids_of(take("audit/logs", after_request_id=first[-1]))
    assert first + rest == whole


def test_filters_and_dates_keep_to_what_was_asked_for(take: Ask, record: Make) -> None:
    record(1, path="/v2/a")
    record(2, path="/v2/b", rule="key_revoked")
    record(10 * 86_400, path="/v2/old")
    assert [row["path"] for row in rows_of(take("audit/logs", outcome="blocked"))] == ["/v2/b"]
    assert [row["path"] for row in rows_of(take("audit/logs", rule="key_revoked"))] == ["/v2/b"]
    assert [row["path"] for row in rows_of(take("audit/logs", path_prefix="/v2/a"))] == ["/v2/a"]
    since = (clock.now() - timedelta(days=11)).isoformat()
    assert "/v2/old" in [row["path"] for row in rows_of(take("audit/logs", start_date=since))]


def test_who_took_what_is_on_record_without_an_address_or_a_secret(take: Ask, make_key: Make) -> None:
    secret = make_key().secret.text
    rows_of(take("audit/logs", path_prefix=f"/{secret}", client_ip="203.0.113.24", limit=5))
    entry = ActivityEntry.objects.get(event=Event.DECISIONS_EXPORTED)
    assert (entry.actor_kind, entry.via, entry.details["form"]) == ("backend_key", "api", "csv")
    assert entry.details["filters"].keys() == {"path_prefix", "client_ip", "limit"}
    assert secret not in str(entry.details)
    assert "203.0.113.24" not in str(entry.details)


def test_activity_leaves_whole_with_details_and_hashes(
    take: Ask, app: App, make_key: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity_exports, "_PAGE", 2)
    for number in range(3):
        make_key(f"key {number}")
    entries = list(ActivityEntry.objects.in_chain(app_chain(app.pk)).newest_first())

    lines = rows_of(take("activity", form="jsonl"))

    assert [line["sequence"] for line in lines] == [entry.sequence for entry in entries]
    assert [line["details"] for line in lines] == [entry.details for entry in entries]
    assert [line["hash"] for line in lines] == [bytes(entry.hash).hex() for entry in entries]
    (newest, *_) = rows_of(take("activity", limit=1))
    assert (newest["event"], json.loads(newest["details"])) == ("activity.exported", {"filters": {}, "form": "jsonl"})
    before = rows_of(take("activity", after_sequence=entries[0].sequence))
    assert [int(row["sequence"]) for row in before] == [entry.sequence for entry in entries[1:]]


def test_another_tenants_app_is_not_found_and_its_lines_are_in_no_file(
    backend: Client, take: Ask, make_deployment: Make, make_app: Make, make_key: Make, record: Make
) -> None:
    theirs = make_app("aa_theirs", in_deployment=make_deployment())
    make_key("theirs", in_app=theirs)
    moment = clock.now() - timedelta(seconds=1)
    put_on_record([decision(moment, deployment_id=theirs.deployment_id, app_id=theirs.id)])
    record(1)

    assert len(rows_of(take("audit/logs"))) == 1
    assert "theirs" not in [row["key_name"] for row in rows_of(take("activity"))]
    for what in ("audit/logs", "activity"):
        assert backend.post(f"/api-auth/apps/aa_theirs/{what}/export", {}, "application/json").status_code == 404
    assert not ActivityEntry.objects.in_chain(app_chain(theirs.pk)).filter(event__endswith="exported").exists()


def test_nothing_leaves_and_nothing_is_on_record_for_a_filter_that_cannot_be_used(take: Ask, record: Make) -> None:
    record(1)
    for body in ({"outcome": "denied"}, {"form": "xlsx"}, {"limit": 0}, {"client_ip": "nowhere"}):
        assert take("audit/logs", **body).status_code == 400
    assert take("activity", after_sequence=0).status_code == 400
    exported = (Event.DECISIONS_EXPORTED, Event.ACTIVITY_EXPORTED)
    assert not ActivityEntry.objects.filter(event__in=exported).exists()


def test_a_longer_time_than_one_file_covers_is_refused_and_never_cut_short(take: Ask, record: Make) -> None:
    record(90 * 86_400 - 60)
    end = clock.now()
    start = end - timedelta(days=90)
    whole = take("audit/logs", start_date=start.isoformat(), end_date=end.isoformat())
    assert len(ids_of(whole)) == 1
    for window in ({"end_date": end.isoformat()}, {}):
        refused = take("audit/logs", start_date=(start - timedelta(hours=1)).isoformat(), **window)
        assert refused.status_code == 400
        assert "start_date" in refused.json()["details"]
    assert ActivityEntry.objects.filter(event=Event.DECISIONS_EXPORTED).count() == 1


def test_a_key_is_named_by_its_id_as_text_or_as_a_number(take: Ask, record: Make, make_key: Make) -> None:
    key = make_key().key
    record(1, key_id=key.pk), record(2)
    as_number, as_text = (ids_of(take("audit/logs", key_id=key_id)) for key_id in (key.pk, str(key.pk)))
    assert (len(as_number), as_number) == (1, as_text)
