"""What the overview tells is what a recount of the rows comes to, and of nobody else's."""

import random
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apiauth.core import clock, ids
from apiauth.core.policy import RotationPolicy, read_policy
from apiauth.models import App, Key, KeyStatus
from apiauth.models.audit import AppRollup
from portal.inputs import RANGES
from tests.support.rows import undone

pytestmark = pytest.mark.django_db
ClientFor = Callable[..., Client]
WEEK = timedelta(days=7)
HOUR = timedelta(hours=1)
MOST_ITEMS = 5
STATS = re.compile(r"<dt>(Allowed requests|Blocked requests|Active keys)</dt><dd>([^<]*)</dd>")
NEXT_EXPIRY = re.compile(r"<dt>Next expiry</dt><dd>[^<]*</dd><dd><a href=\"/portal/keys/(\d+)\">")
ITEMS = re.compile(r"<li><span class=\"ic [^>]*>.*?<p><b>(.*?)</b>.*?href=\"/portal/keys/(\d+)\"", re.DOTALL)
CAUSES = re.compile(r"<small><code>(\w+)</code></small></span><span class=\"n\">([\d,]+) <small>")


@dataclass(frozen=True)
class Made:
    """One lineage to make: whose it is, and what became of it. Ages and ends are in hours."""

    is_ours: bool
    user_id: str
    age: int
    expires_in: int | None
    revoked: bool
    disabled: bool
    overlap: int | None
    """For how long the secret before it works; None where there was none before."""


rarely = st.sampled_from([False, False, False, True])
lineages = st.builds(
    Made,
    is_ours=st.sampled_from([True, True, True, False]),
    user_id=st.sampled_from(["user_1", "user_2"]),
    age=st.sampled_from([1, 24 * 24, 24 * 31, 24 * 90]),
    expires_in=st.sampled_from([None, None, -1, 30, 30, 24 * 6, 24 * 8, 24 * 300]),
    revoked=rarely,
    disabled=rarely,
    overlap=st.sampled_from([None, None, -2, 5, 24 * 3]),
)
rotations = st.sampled_from(
    [
        {},
        {"mode": "required", "every_days": 30},
        {"mode": "required", "every_days": 30, "when_overdue": "block", "enforced_from": "2020-01-01T00:00:00Z"},
        {"mode": "required", "every_days": 30, "enforced_from": "2999-01-01T00:00:00Z"},
    ]
)


def make(app: App, made: Made, now: datetime) -> None:
    """Lay a lineage out as its rows."""
    born = now - made.age * HOUR
    about = {
        "deployment_id": app.deployment_id,
        "app_id": app.pk,
        "key_prefix": app.key_prefix,
        "key_suffix": "abcd",
        "pepper_version": 1,
        "user_id": made.user_id,
        "expires_at": None if made.expires_in is None else now + made.expires_in * HOUR,
        "updated_at": now,
    }
    first = ids.new_id()
    newest = Key.objects.create(
        **about,
        lineage_id=first,
        name=f"key {first}",
        digest=secrets.token_bytes(32),
        created_at=born - HOUR,
        revoked_at=now - HOUR / 2 if made.revoked else None,
        disabled_at=now - HOUR / 2 if made.disabled else None,
    )
    if made.overlap is not None:
        Key.objects.create(
            **about,
            lineage_id=first,
            name=newest.name,
            digest=secrets.token_bytes(32),
            created_at=born - 2 * HOUR,
            replaced_by=newest,
            overlap_ends_at=now + made.overlap * HOUR,
        )


def is_due(key: Key, rotation: RotationPolicy, now: datetime) -> bool:
    """Say once more, and key by key, which must be rotated within a week."""
    due = rotation.due_at(key.created_at)
    return due is not None and due <= now + WEEK and (key.expires_at is None or key.expires_at > due)


def recounted(keys: list[Key], rotation: RotationPolicy, now: datetime) -> tuple[int, str | None, list[str]]:
    """Return the number of working keys, the next to expire, and the keys that need attention."""
    newest = [key for key in keys if key.status(now) is KeyStatus.ACTIVE]
    old = [key for key in keys if key.status(now) is KeyStatus.IN_GRACE]
    ends = sorted((key.expires_at, -key.pk) for key in newest if key.expires_at)
    due = sorted(key.pk for key in newest if is_due(key, rotation, now))
    items = [f"rotate {pk}" for pk in due]
    items += [f"expires {-pk}" for end, pk in ends if end <= now + WEEK]
    items += [f"grace {key.pk}" for key in sorted(old, key=lambda key: -key.pk)]
    return len(newest), str(-ends[0][1]) if ends else None, items[:MOST_ITEMS]


def told(html: str) -> tuple[int, str | None, list[str]]:
    """Return the same as the page tells it."""
    end = NEXT_EXPIRY.search(html)
    words = {"expires in": "expires", "The old secret": "grace"}
    items = [
        next((word for text, word in words.items() if text in title), "rotate") + f" {key_id}"
        for title, key_id in ITEMS.findall(html)
    ]
    return int(dict(STATS.findall(html))["Active keys"]), end[1] if end else None, items


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(lineages, min_size=1, max_size=14), rotations, st.sampled_from(["app", "user"]))
def test_the_keys_on_the_overview_are_those_of_a_recount(
    app: App,
    make_app: Callable[..., App],
    portal_client: ClientFor,
    made: list[Made],
    rotation: dict[str, Any],
    scope: str,
) -> None:
    with undone():
        other, now = make_app("aa_other"), clock.now()
        for each in made:
            make(app if each.is_ours else other, each, now)
        policy = read_policy({"rotation": rotation, "scope": {"model": scope}})
        App.objects.update(policy=policy)
        within = [key for key in Key.objects.in_app(app.pk) if scope == "app" or key.user_id == "user_1"]
        html = portal_client(subject_id="user_1").get("/portal/").content.decode()
        if within:
            assert told(html) == recounted(within, policy.rotation, now)
        else:
            assert "Create your first key" in html


def test_beyond_a_thousand_working_keys_are_not_counted(
    app: App, portal_client: ClientFor, make_many_keys: Callable[..., list[Key]]
) -> None:
    make_many_keys(1_000)
    assert told_count(portal_client()) == "1,000"
    make_many_keys(1)
    assert told_count(portal_client()) == "1,000+"


def told_count(client: Client) -> str:
    return dict(STATS.findall(client.get("/portal/").content.decode()))["Active keys"]


@pytest.mark.parametrize("scope", ["app", "user"])
@pytest.mark.parametrize("span", RANGES)
def test_the_calls_on_the_overview_are_those_of_a_recount(
    app: App,
    make_key: Callable[..., Any],
    count_calls: Callable[..., None],
    portal_client: ClientFor,
    scope: str,
    span: str,
) -> None:
    dice, now = random.Random(span), clock.now()
    start = RANGES[span].start(now)
    App.objects.filter(pk=app.pk).update(policy=read_policy({"scope": {"model": scope}}))
    owners = ["user_1", "user_1", "user_2"]
    made = [make_key().key for _ in owners]
    for key, user_id in zip(made, owners, strict=True):
        Key.objects.filter(pk=key.pk).update(user_id=user_id)
    sums = {"": 0, "rate_limited": 0, "permission_denied": 0}
    hour = now.replace(minute=0, second=0, microsecond=0)
    for at in {start, start - HOUR, *(hour - hours * HOUR for hours in range(0, 40 * 24, 7))}:
        which, rule, number = dice.randrange(3), dice.choice(list(sums)), dice.randrange(1, 5_000)
        count_calls(made[which].pk, number, rule=rule, at=at)
        is_told = at >= start and (scope == "app" or which < 2)
        sums[rule] += number if is_told else 0
    AppRollup.objects.create(app_id=app.pk + 1, hour=hour, rule="", blocked_by="", count=7)
    html = portal_client(subject_id="user_1").get(f"/portal/?range={span}").content.decode()
    blocked = {rule: count for rule, count in sums.items() if rule and count}
    stats = dict(STATS.findall(html))
    assert stats["Allowed requests"] == f"{sums['']:,}"
    assert stats["Blocked requests"] == f"{sum(blocked.values()):,}"
    assert {rule: int(count.replace(",", "")) for rule, count in CAUSES.findall(html)} == blocked
