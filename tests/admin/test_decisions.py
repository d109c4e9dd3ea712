"""Staff see every app's decisions, within a period, and look one up by its request id."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from apiauth.audit import search
from apiauth.core import clock, ids
from apiauth.core.policy import read_policy
from apiauth.models import App, Decision
from apiauth.services.keys import IssuedKey
from tests.support.decisions import name_of


@pytest.fixture
def decide(app: App) -> Callable[..., UUID]:
    """Record a decision without a gateway."""

    def make(
        at: datetime,
        *,
        rule: str | None = None,
        for_app: int | None = app.id,
        path: str = "/v2/routes",
        key_id: int | None = None,
    ) -> UUID:
        decision_id = ids.new_decision_id(clock.to_ms(at))
        Decision.objects.create(
            id=decision_id,
            decided_at=clock.from_ms(ids.decision_time_ms(decision_id)),
            app_id=for_app or 0,
            key_id=key_id,
            allowed=rule is None,
            rule=rule,
            blocked_by=rule,
            method="GET",
            path=path,
            user_agent="tests",
            required_permissions=[],
            rate_limits=[],
            snapshot_age_ms=1,
            duration_us=9,
            node=name_of("n"),
        )
        return decision_id

    return make


def test_the_last_hour_is_shown_unless_more_is_asked_for(
    administrator: Client, decide: Callable[..., UUID], now: datetime
) -> None:
    recent, old = ids.request_id(decide(now)), ids.request_id(decide(now - timedelta(hours=2)))
    page = administrator.get("/admin/decisions/").content.decode()
    assert (recent in page, old in page) == (True, False)
    assert old in administrator.get("/admin/decisions/", {"period": "24h"}).content.decode()


def test_a_request_id_leads_to_its_decision(administrator: Client, decide: Callable[..., UUID], now: datetime) -> None:
    request_id = ids.request_id(decide(now - timedelta(days=3), rule="permission_denied"))
    answer = administrator.get("/admin/decisions/", {"request_id": request_id}, follow=True)
    assert answer.redirect_chain[0][0] == f"/admin/decisions/{request_id}/"
    assert "permission_denied" in answer.content.decode()


def test_decisions_of_no_app_are_for_staff(administrator: Client, decide: Callable[..., UUID], now: datetime) -> None:
    request_id = ids.request_id(decide(now, rule="key_unknown", for_app=None))
    assert request_id in administrator.get("/admin/decisions/", {"outcome": "key_unknown"}).content.decode()


def test_filters_leave_out_the_rest(
    administrator: Client, decide: Callable[..., UUID], app: App, now: datetime
) -> None:
    mine, other = ids.request_id(decide(now)), ids.request_id(decide(now, for_app=5, rule="key_revoked"))
    for query in ({"app": app.slug}, {"app": str(app.pk)}, {"outcome": "allowed"}):
        page = administrator.get("/admin/decisions/", query).content.decode()
        assert (mine in page, other in page) == (True, False)


def test_older_goes_on_where_the_page_ended(administrator: Client, decide: Callable[..., UUID], now: datetime) -> None:
    made = [ids.request_id(decide(now - timedelta(milliseconds=step // 2))) for step in range(60)]
    first = administrator.get("/admin/decisions/")
    second = administrator.get(f"/admin/decisions/?{first.context['older']}")
    shown = [row.decision.request_id for page in (first, second) for row in page.context["rows"]]
    assert sorted(shown) == sorted(made)
    assert "older" not in second.context


def test_the_decisions_of_all_apps_stand_in_one_order(
    administrator: Client, decide: Callable[..., UUID], app: App, now: datetime
) -> None:
    for_apps = (app.id, None, app.id, None, None, app.id)
    made = [decide(now - timedelta(minutes=step), for_app=for_app) for step, for_app in enumerate(for_apps)]
    page = administrator.get("/admin/decisions/")
    assert [row.decision.id for row in page.context["rows"]] == made


def test_a_keys_decisions_are_found_without_its_app(
    administrator: Client, decide: Callable[..., UUID], make_key: Callable[..., IssuedKey], now: datetime
) -> None:
    key = make_key().key
    mine, other = ids.request_id(decide(now, key_id=key.pk)), ids.request_id(decide(now))
    for query in ({"key": str(key.pk)}, {"key": str(key.pk), "app": key.app.slug}):
        page = administrator.get("/admin/decisions/", query).content.decode()
        assert (mine in page, other in page) == (True, False)
    assert mine not in administrator.get("/admin/decisions/", {"key": str(key.pk), "app": "another"}).content.decode()


def test_a_search_that_no_index_answers_stops_and_says_so(
    administrator: Client, decide: Callable[..., UUID], app: App, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LOOKED_THROUGH", 5)
    rare = ids.request_id(decide(now - timedelta(minutes=30)))
    for step in range(7):
        decide(now - timedelta(minutes=step), rule="key_revoked")
    first = administrator.get("/admin/decisions/", {"app": app.slug, "outcome": "allowed"})
    assert (rare in first.content.decode(), "do not fit" in first.content.decode()) == (False, True)
    second = administrator.get(f"/admin/decisions/?{first.context['older']}")
    assert rare in second.content.decode()


def test_a_page_asks_the_database_a_few_times_however_much_it_shows(
    administrator: Client, decide: Callable[..., UUID], now: datetime, django_assert_max_num_queries: Any
) -> None:
    for step in range(60):
        decide(now - timedelta(seconds=step), for_app=None if step % 2 else 5)
    with django_assert_max_num_queries(6):
        assert len(administrator.get("/admin/decisions/").context["rows"]) == 30


@pytest.mark.parametrize(
    "query",
    [
        {"request_id": "zzz"},
        {"request_id": "req_" + "g" * 32},
        {"key": "x"},
        {"key": "9" * 20},
        {"period": "1y"},
        {"outcome": "' OR 1=1"},
        {"app": "a" * 65},
        {"before": "req_1"},
        {"app": "a\x00b"},
    ],
)
def test_400_names_the_field(administrator: Client, query: dict[str, str]) -> None:
    answer = administrator.get("/admin/decisions/", query)
    assert answer.status_code == 400
    assert list(answer.context["form"].errors) == list(query)


@pytest.mark.parametrize("request_id", ["req_" + "0" * 32, "nonsense", "req_" + "f" * 32])
def test_404_for_a_decision_that_is_not_there(administrator: Client, request_id: str) -> None:
    assert administrator.get(f"/admin/decisions/{request_id}/").status_code == 404


def test_a_paths_markup_is_shown_as_text(administrator: Client, decide: Callable[..., UUID], now: datetime) -> None:
    decide(now, path="/<img src=x onerror=alert(1)>")
    assert "<img src=x" not in administrator.get("/admin/decisions/").content.decode()


def shown(administrator: Client, **filters: str) -> set[str]:
    """Return the paths that the list has under some filters."""
    page = administrator.get("/admin/decisions/", filters)
    assert page.status_code == 200, page.content
    return {row.decision.path for row in page.context["rows"]}


def test_an_app_is_searched_by_method_path_and_address(
    administrator: Client, decide: Callable[..., UUID], app: App, now: datetime
) -> None:
    decide(now, path="/v1/a")
    Decision.objects.update(method="POST", client_ip="203.0.113.9")
    decide(now, path="/v2/b")
    assert shown(administrator, app=app.slug) == {"/v1/a", "/v2/b"}
    assert shown(administrator, app=app.slug, method="POST") == {"/v1/a"}
    assert shown(administrator, app=app.slug, path="/v2") == {"/v2/b"}
    assert shown(administrator, app=app.slug, address="203.0.113.9") == {"/v1/a"}
    assert shown(administrator, app=app.slug, address="::ffff:203.0.113.9") == {"/v1/a"}
    assert shown(administrator, app=app.slug, address="203.0.113.10", method="POST") == set()


def test_any_range_of_time_can_be_asked_for(
    administrator: Client, decide: Callable[..., UUID], app: App, now: datetime
) -> None:
    for hours in (1, 30, 60):
        decide(now - timedelta(hours=hours), path=f"/{hours}")
    since, until = (f"{now - timedelta(hours=hours):%Y-%m-%dT%H:%M}" for hours in (40, 20))
    assert shown(administrator, since=since, until=until) == {"/30"}
    assert shown(administrator, since=since) == {"/1", "/30"}
    assert shown(administrator, until=until, period="24h", app=app.slug) == {"/30"}


@pytest.mark.parametrize(
    "filters",
    [
        {"method": "GET"},
        {"path": "/v1"},
        {"address": "203.0.113.9"},
        {"app": "aa_1", "address": "203.0.113"},
        {"app": "aa_1", "method": "STEAL"},
        {"app": "aa_1", "path": "/" * 501},
        {"app": "aa_1", "path": "\0"},
        {"since": "0001-01-01T00:00"},
        {"until": "9999-12-31T23:59"},
        {"until": "yesterday"},
    ],
)
def test_a_filter_that_cannot_be_used_is_a_400_that_says_why(
    administrator: Client, app: App, filters: dict[str, str]
) -> None:
    page = administrator.get("/admin/decisions/", filters)
    assert page.status_code == 400
    assert b"errorlist" in page.content


def test_addresses_that_the_policy_keeps_from_staff_cannot_be_looked_for(
    administrator: Client, decide: Callable[..., UUID], app: App, now: datetime
) -> None:
    decide(now)
    App.objects.update(policy=read_policy({"audit": {"staff_see_addresses": False}}))
    page = administrator.get("/admin/decisions/", {"app": app.slug, "address": "203.0.113.9"})
    assert page.status_code == 403
    assert "keeps whole addresses from staff" in page.content.decode()
