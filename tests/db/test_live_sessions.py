"""A session is found with all that its row and its app's rows say, at once, and only while it lives."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import models

from apiauth.core import clock
from apiauth.core.policy import read_policy
from apiauth.models import App, Session
from apiauth.services import limits, sessions
from tests.conftest import ACTOR

pytestmark = pytest.mark.django_db
RULE = {"unit": "minute", "duration": 1, "max_requests": 60, "mode": "per_key"}


def values(row: models.Model) -> dict[str, object]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


@pytest.mark.parametrize("has_scheme", [True, False])
def test_it_is_what_django_reads_and_takes_one_query(
    app: App,
    session_for: Callable[..., sessions.OpenedSession],
    django_assert_num_queries: Callable[..., object],
    has_scheme: bool,
) -> None:
    owner = {"deployment_id": app.deployment_id, "actor": ACTOR, "now": clock.now()}
    scheme = limits.create_scheme(slug="calm", name="Calm", rules=[RULE], **owner) if has_scheme else None
    policy = read_policy({"rotation": {"mode": "required", "every_days": 30}})
    App.objects.filter(pk=app.pk).update(rate_limit_scheme=scheme, policy=policy)
    opened = session_for(permissions=["routes:read"], metadata={"plan": "free"}, locale="de")
    with django_assert_num_queries(1):
        found = sessions.find_session(opened.token, now=clock.now())
        assert found is not None
        read = [found, found.app, found.app.deployment, found.app.rate_limit_scheme]
    same = Session.objects.get(pk=opened.session.pk)
    expected = [same, same.app, same.app.deployment, same.app.rate_limit_scheme]
    assert [row and values(row) for row in read] == [row and values(row) for row in expected]
    assert found.app.policy == policy


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"ended_at": clock.now()}, id="it was ended"),
        pytest.param({"expires_at": clock.now() - timedelta(seconds=1)}, id="it has ended by itself"),
    ],
)
def test_none_is_found_once_it_has_ended(
    session_for: Callable[..., sessions.OpenedSession], change: dict[str, object]
) -> None:
    opened = session_for()
    Session.objects.filter(pk=opened.session.pk).update(
        created_at=clock.now() - timedelta(hours=1), last_seen_at=clock.now(), **change
    )
    assert sessions.find_session(opened.token, now=clock.now()) is None


def test_none_is_found_of_an_app_that_was_deleted(app: App, session_for: Callable[..., sessions.OpenedSession]) -> None:
    opened = session_for()
    App.objects.filter(pk=app.pk).update(deleted_at=clock.now())
    assert sessions.find_session(opened.token, now=clock.now()) is None


def test_a_token_finds_its_own_session_alone(session_for: Callable[..., sessions.OpenedSession]) -> None:
    opened = [session_for(), session_for(subject_id="user_2")]
    found = [sessions.find_session(each.token, now=clock.now()) for each in opened]
    assert [row and row.pk for row in found] == [each.session.pk for each in opened]
