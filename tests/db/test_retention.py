"""Spent rows go after a day, and take nothing with them."""

from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
import time_machine
from django.conf import settings
from django.db import connection

from apiauth.audit import worker
from apiauth.audit.partitions import ensure_partitions
from apiauth.audit.retention import forget_spent
from apiauth.core import clock
from apiauth.models import App, Decision, FormToken, MinuteRollup, Session, Ticket
from apiauth.services import forms, keys, sessions
from apiauth.services.tickets import IssuedTicket
from tests.db.test_app_retention import decide, keep, opened


@pytest.mark.django_db(transaction=True)
def test_tickets_and_form_tokens_go_after_a_day_and_sessions_stay(
    make_ticket: Callable[..., IssuedTicket], make_key: Callable[..., keys.IssuedKey]
) -> None:
    long_ago = clock.now() - timedelta(hours=25)
    old = make_ticket(issued_at=long_ago)
    sessions.exchange_ticket(old.text, client_ip=None, user_agent="", now=long_ago, via="portal")
    make_key(form=forms.SubmittedForm(session_id=1, token="o" * 32), now=long_ago)
    fresh = make_ticket()
    database = connection.settings_dict["NAME"]
    with psycopg.connect(settings.ENVIRONMENT.database_url, dbname=database, autocommit=True) as direct:
        forget_spent(direct)
    assert list(Ticket.objects.values_list("pk", flat=True)) == [fresh.row.pk]
    assert Session.objects.get().ticket_id is None
    assert not FormToken.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_counts_by_the_minute_go_after_two_days() -> None:
    old, fresh = clock.now() - timedelta(hours=49), clock.now() - timedelta(hours=47)
    for minute in (old, fresh):
        MinuteRollup(minute=minute, app_id=1, key_id=0, allowed=1, blocked=0).save(force_insert=True)
    database = connection.settings_dict["NAME"]
    with psycopg.connect(settings.ENVIRONMENT.database_url, dbname=database, autocommit=True) as direct:
        forget_spent(direct)
    assert list(MinuteRollup.objects.values_list("minute", flat=True)) == [fresh]
    MinuteRollup.objects.all().delete()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("days_of_all", "days_of_app"), [(30, None), (0, 7)], ids=["the installation's days", "an app's days"]
)
def test_a_worker_whose_clock_is_a_year_ahead_forgets_nothing(
    app: App, days_of_all: int, days_of_app: int | None
) -> None:
    keep(app, days_of_app)
    with opened() as direct:
        ensure_partitions(direct)
        todays = decide(app, clock.now())
        with time_machine.travel(clock.now() + timedelta(days=365)):
            worker._keep_house(direct, days_of_all)
    assert [row.id for row in Decision.objects.all()] == [todays.id]
