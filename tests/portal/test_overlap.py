"""While two secrets of a key work, its page says which is still called; the old one can be ended, or end otherwise."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apiauth.core import clock
from apiauth.core.policy import read_policy
from apiauth.models import App, Key
from apiauth.models.audit import MinuteRollup
from apiauth.services import keys
from tests.conftest import ACTOR
from tests.portal.conftest import hidden_fields

pytestmark = pytest.mark.django_db
MakeKey = Callable[..., keys.IssuedKey]
ClientFor = Callable[..., Client]


@pytest.fixture
def rotated(app: App, make_key: MakeKey) -> tuple[Key, Key]:
    """An old key of three days, and the new one that replaced it two hours ago."""
    now = clock.now()
    old = make_key(now=now - timedelta(days=3)).key
    issued = keys.rotate_key(
        app_id=app.pk, key_id=old.pk, overlap=timedelta(days=1), actor=ACTOR, now=now - timedelta(hours=2)
    )
    old.refresh_from_db()
    return old, issued.key


@pytest.fixture(autouse=True)
def no_host_is_known() -> None:
    """Forget the gateways and workers that tests with processes have left."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM apiauth_gatewaystatus; DELETE FROM apiauth_workerstatus")


def stop_worker(*, minutes_ago: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO apiauth_workerstatus SELECT 'one', at, at"
            " FROM (SELECT clock_timestamp() - make_interval(mins => %s, secs => 5)) AS stopped (at)",
            [minutes_ago],
        )


def page(client: Client, key: Key, rest: str = "") -> str:
    return client.get(f"/portal/keys/{key.pk}{rest}").content.decode().replace("&#x27;", "'")


def count_minute(key: Key, calls: int) -> None:
    minute = (clock.now() - timedelta(minutes=5)).replace(second=0, microsecond=0)
    MinuteRollup.objects.create(app_id=key.app_id, key_id=key.pk, minute=minute, allowed=calls, blocked=0)


def test_it_says_how_often_and_from_where_the_old_secret_is_still_called(
    rotated: tuple[Key, Key], portal_client: ClientFor, make_decision: Callable[..., Any], use_key: Callable[..., None]
) -> None:
    old, new = rotated
    count_minute(old, 1204)
    count_minute(new, 3)
    use_key(old.pk)
    make_decision(key_id=old.pk, client_ip="192.0.2.88")
    html = page(portal_client(), new)
    assert "1,204 calls since the rotation" in html
    assert "3 calls since the rotation" in html
    assert "In the last day from <code>192.0.2.88</code>" in html
    assert "Still in use." in html
    assert "Safe to end now" not in html


@pytest.mark.parametrize("unit", [timedelta(minutes=1), timedelta(hours=1)], ids=["by the minute", "by the hour"])
@pytest.mark.parametrize(
    ("on_record", "words"),
    [
        pytest.param(10, "6 calls since the rotation", id="all of the first unit"),
        pytest.param(5, "At least 6 calls since the rotation", id="what came after the rotation"),
        pytest.param(2, "At least 4 calls since the rotation", id="hardly any"),
    ],
)
def test_no_call_from_before_the_rotation_counts_as_one_since(
    app: App,
    make_key: MakeKey,
    portal_client: ClientFor,
    make_decision: Callable[..., Any],
    count_calls: Callable[..., None],
    unit: timedelta,
    on_record: int,
    words: str,
) -> None:
    start = clock.now().replace(minute=0, second=0, microsecond=0) - unit * 100
    rotation = start + unit / 2
    old = make_key(now=start - timedelta(days=1)).key
    overlap = {"overlap": timedelta(days=20), "actor": ACTOR, "now": rotation}
    new = keys.rotate_key(app_id=app.pk, key_id=old.pk, **overlap).key
    for at, calls in ((start, 10), (start + unit, 2)):
        if unit == timedelta(hours=1):
            count_calls(old.pk, calls, at=at)
        else:
            MinuteRollup.objects.create(app_id=app.pk, key_id=old.pk, minute=at, allowed=calls, blocked=0)
    since, before = [rotation] + [rotation + unit / 4] * 3, [rotation - timedelta(milliseconds=1)] + [start] * 5
    for moment in [*since, *before][:on_record]:
        make_decision(key_id=old.pk, at=moment)
    of_new, of_old = re.findall(r"(?:At least )?\d+ calls since the rotation", page(portal_client(), new))
    assert (of_new, of_old) == ("0 calls since the rotation", words)


def test_it_says_from_where_the_new_secret_is_called_too_the_most_frequent_address_first(
    rotated: tuple[Key, Key], portal_client: ClientFor, make_decision: Callable[..., Any], use_key: Callable[..., None]
) -> None:
    _, new = rotated
    use_key(new.pk)
    for address in ("198.51.100.7", "192.0.2.88", "192.0.2.88"):
        make_decision(key_id=new.pk, client_ip=address)
    html = page(portal_client(), new)
    assert "In the last day from <code>192.0.2.88</code>, <code>198.51.100.7</code>." in html


@pytest.mark.parametrize("which", [0, 1], ids=["old", "new"])
def test_it_says_of_neither_secret_from_where_it_is_called_to_those_who_may_not_see_that(
    rotated: tuple[Key, Key],
    portal_client: ClientFor,
    make_decision: Callable[..., Any],
    use_key: Callable[..., None],
    app: App,
    which: int,
) -> None:
    key = rotated[which]
    use_key(key.pk)
    make_decision(key_id=key.pk, client_ip="192.0.2.88")
    App.objects.filter(pk=app.pk).update(policy=read_policy({"authority": {"see_addresses": "owner"}}))
    html = page(portal_client(role="admin"), rotated[1])
    assert "Secrets</h2>" in html
    assert ("192.0.2.88" in html, "203.0.113.24" in html) == (False, False)


def test_it_says_when_the_old_secret_has_been_quiet_for_a_day(
    rotated: tuple[Key, Key], portal_client: ClientFor, use_key: Callable[..., None]
) -> None:
    old, new = rotated
    use_key(old.pk, at=clock.now() - timedelta(days=1, minutes=1))
    assert "Safe to end now: no call with the old secret for a day." in page(portal_client(), new)


@pytest.mark.parametrize("was_used", [True, False], ids=["quiet", "never used"])
def test_while_the_log_lags_nobody_is_told_that_the_old_secret_is_quiet(
    rotated: tuple[Key, Key], portal_client: ClientFor, use_key: Callable[..., None], was_used: bool
) -> None:
    old, new = rotated
    if was_used:
        use_key(old.pk, at=clock.now() - timedelta(days=1, minutes=1))
    stop_worker(minutes_ago=12)
    html = page(portal_client(), new)
    assert "The log is 12 minutes behind, so calls of that time are not in it yet." in html
    assert "Safe to end now" not in html
    assert "Not used yet." not in html


def test_what_is_in_use_is_in_use_however_late_the_log_is(
    rotated: tuple[Key, Key], portal_client: ClientFor, use_key: Callable[..., None]
) -> None:
    old, new = rotated
    use_key(old.pk)
    stop_worker(minutes_ago=12)
    assert "Still in use." in page(portal_client(), new)


def test_while_the_log_lags_a_revoke_is_not_called_safe(
    make_key: MakeKey, portal_client: ClientFor, rotated: tuple[Key, Key]
) -> None:
    stop_worker(minutes_ago=90)
    html = page(portal_client(), make_key().key, "/revoke")
    assert "Whether it is in use is not known: the log is behind." in html
    assert html.count("The log is 1 h behind, so calls of that time are not in it yet.") == 1
    assert "Safe to revoke" not in html


def test_while_the_log_lags_the_review_of_a_change_says_so(
    make_key: MakeKey, portal_client: ClientFor, rotated: tuple[Key, Key]
) -> None:
    stop_worker(minutes_ago=12)
    assert "The log is 12 minutes behind" in page(portal_client(), make_key().key, "/disable")


def in_words(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y}, {moment:%H:%M} UTC"


def typed(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M}"


def radios(html: str) -> dict[str, str]:
    """Return the value of each radio button by its label."""
    found = re.findall(r'type="radio" name="ends" id="ends-\d" value="([^"]+)"[^>]*><span>([^<]+)', html)
    return {label.strip(): value for value, label in found}


def end_of(key: Key) -> datetime:
    key.refresh_from_db()
    assert key.overlap_ends_at is not None
    return key.overlap_ends_at


@pytest.mark.parametrize(
    ("label", "lasts", "deed"),
    [("1 hour", timedelta(hours=1), "shortened"), ("7 days", timedelta(days=7), "extended")],
)
def test_the_old_secret_is_given_another_end_sooner_or_later_once_however_often_that_is_sent(
    rotated: tuple[Key, Key], portal_client: ClientFor, label: str, lasts: timedelta, deed: str
) -> None:
    old, new = rotated
    client = portal_client()
    assert f'href="/portal/keys/{old.pk}/change-overlap"' in page(client, new)
    html = page(client, old, "/change-overlap")
    form = hidden_fields(html) | {"ends": radios(html)[label]}
    done = client.post(f"/portal/keys/{old.pk}/change-overlap", form)
    assert done.status_code == 303
    assert f"works until {in_words(end_of(old))}" in client.get(done.url).content.decode()
    assert client.post(f"/portal/keys/{old.pk}/change-overlap", form).status_code == 303
    assert timedelta(0) <= clock.now() + lasts - end_of(old) < timedelta(minutes=1)
    assert client.get("/portal/activity").content.decode().count(f"{deed} the grace of the old secret of") == 1


def test_an_old_secret_can_work_to_any_minute_up_to_the_last(
    rotated: tuple[Key, Key], portal_client: ClientFor
) -> None:
    old, new = rotated
    client, soon = portal_client(), clock.now() + timedelta(minutes=90)
    form = hidden_fields(page(client, old, "/change-overlap")) | {"ends": "time", "ends_at": typed(soon)}
    assert client.post(f"/portal/keys/{old.pk}/change-overlap", form).status_code == 303
    assert end_of(old) == soon.replace(second=0, microsecond=0)
    last = radios(page(client, old, "/change-overlap"))["As long as it can"]
    assert client.post(f"/portal/keys/{old.pk}/change-overlap", form | {"ends": last}).status_code == 303
    assert end_of(old) == new.created_at + timedelta(days=30)


def test_a_form_that_is_sent_as_it_came_changes_nothing(rotated: tuple[Key, Key], portal_client: ClientFor) -> None:
    old, _ = rotated
    client, before = portal_client(), old.overlap_ends_at
    assert before is not None
    html = page(client, old, "/change-overlap")
    assert f'name="ends_at" value="{typed(before)}"' in html
    form = hidden_fields(html) | {"ends": "time", "ends_at": typed(before)}
    assert client.post(f"/portal/keys/{old.pk}/change-overlap", form).status_code == 303
    assert end_of(old) == before
    assert "the grace of the old secret" not in client.get("/portal/activity").content.decode()


@pytest.mark.parametrize(
    ("choice", "time", "sentence"),
    [
        ("", "", "Choose until when the old secret works."),
        ("time", "", "Enter the time until which the old secret works."),
        ("time", "2026-13-40T10:00", "Enter a date and time that exist, such as 2027-02-22T09:30."),
        ("time", "2020-01-01T00:00", "Choose a time that is still to come, and no later than "),
        ("time", "9999-12-31T23:59", "Choose a time that is still to come, and no later than "),
        ("tomorrow", "", "Open the page again and choose a time there."),
        ("2027-01-01T00:00", "", "Open the page again and choose a time there."),
        ("9999-12-31T23:59:59Z", "", "Choose a time that is still to come, and no later than "),
        ("\x00", "", "Null characters are not allowed."),
    ],
)
def test_422_for_an_end_that_cannot_be_with_a_sentence_in_the_form(
    rotated: tuple[Key, Key], portal_client: ClientFor, choice: str, time: str, sentence: str
) -> None:
    old, _ = rotated
    client, before = portal_client(), old.overlap_ends_at
    form = hidden_fields(page(client, old, "/change-overlap")) | {"ends": choice, "ends_at": time}
    answer = client.post(f"/portal/keys/{old.pk}/change-overlap", form)
    assert (answer.status_code, sentence in answer.content.decode()) == (422, True)
    assert end_of(old) == before


def test_an_old_secret_is_offered_no_end_beyond_that_of_its_key(
    app: App, make_key: MakeKey, portal_client: ClientFor
) -> None:
    now = clock.now()
    old = make_key(expires_at=now + timedelta(hours=3)).key
    keys.rotate_key(app_id=app.pk, key_id=old.pk, overlap=timedelta(hours=1), actor=ACTOR, now=now)
    offered = radios(page(portal_client(), old, "/change-overlap"))
    assert list(offered) == ["1 hour", "As long as it can", "Until a time"]
    assert offered["As long as it can"] == old.expires_at.isoformat()


def test_409_where_there_is_no_overlap_to_change(rotated: tuple[Key, Key], portal_client: ClientFor) -> None:
    _, new = rotated
    assert portal_client().get(f"/portal/keys/{new.pk}/change-overlap").status_code == 409


def test_who_may_not_end_an_overlap_may_not_change_it(rotated: tuple[Key, Key], portal_client: ClientFor) -> None:
    old, new = rotated
    client = portal_client(role="viewer")
    assert "change-overlap" not in page(client, new)
    assert client.get(f"/portal/keys/{old.pk}/change-overlap").status_code == 403
