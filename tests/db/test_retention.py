"""Spent rows go after a day, and take nothing with them."""

from collections.abc import Callable
from datetime import timedelta

import psycopg
import pytest
from django.conf import settings
from django.db import connection

from apiauth.audit.retention import forget_spent
from apiauth.core import clock
from apiauth.models import FormToken, MinuteRollup, Session, Ticket
from apiauth.services import forms, keys, sessions
from apiauth.services.tickets import IssuedTicket


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
