"""The activity log shows what was done, forgets people on demand, and betrays every alteration."""

from collections.abc import Callable
from datetime import datetime

import pytest
from django.db import IntegrityError, connection, transaction

from apiauth.core.actor import Actor
from apiauth.core.events import Event
from apiauth.models import ActivityEntry, App
from apiauth.models.activity import app_chain
from apiauth.services import activity, keys

PERSON = Actor(
    kind="subject", id="u1", name="Dana Okafor", email="dana@example.com", client_ip="192.0.2.1", via="portal"
)


@pytest.fixture
def chain(app: App, now: datetime) -> str:
    for number in range(4):
        activity.record(
            Event.KEY_CREATED,
            actor=PERSON,
            now=now,
            deployment_id=app.deployment_id,
            app_id=app.id,
            details={"name": f"k{number}"},
        )
    return app_chain(app.id)


def test_every_service_leaves_an_entry_in_the_apps_chain(
    make_key: Callable[..., keys.IssuedKey], app: App, actor: Actor, now: datetime
) -> None:
    key = make_key().key
    keys.revoke_key(app_id=app.id, key_id=key.id, reason="old", actor=actor, now=now)
    events = [entry.event for entry in ActivityEntry.objects.in_chain(app_chain(app.id)).order_by("sequence")]
    assert events == ["app.created", "key.created", "key.revoked"]


def test_an_untouched_chain_holds(chain: str) -> None:
    assert activity.verify_chain(chain) is None


def test_personal_values_can_be_forgotten_and_the_chain_still_holds(chain: str) -> None:
    entry = ActivityEntry.objects.in_chain(chain).newest_first()[0]
    activity.erase_personal(entry, "name")
    entry.refresh_from_db()
    assert "name" not in entry.personal
    assert activity.verify_chain(chain) is None


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ('UPDATE apiauth_activityentry SET details = \'{"name": "x"}\' WHERE sequence = 3', 3),
        ("UPDATE apiauth_activityentry SET personal = jsonb_set(personal, '{name}', '\"Eve\"') WHERE sequence = 2", 2),
        ("DELETE FROM apiauth_activityentry WHERE sequence = 4", 4),
        ("DELETE FROM apiauth_activityentry WHERE sequence = 5", 5),
        ("UPDATE apiauth_activityentry SET at = at + interval '1 s' WHERE sequence = 5", 5),
    ],
    ids=["edit", "edit of a personal value", "cut out", "cut off the end", "another time"],
)
def test_any_change_by_raw_sql_is_found_where_it_is(chain: str, statement: str, place: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE apiauth_activityentry DISABLE TRIGGER USER")
        cursor.execute(statement + " AND chain_id = %s", [chain])
    broken = activity.verify_chain(chain)
    assert broken is not None
    assert broken.sequence == place


def test_the_database_refuses_to_change_or_delete_an_entry(chain: str) -> None:
    for statement in ("UPDATE apiauth_activityentry SET event = 'x'", "DELETE FROM apiauth_activityentry"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
