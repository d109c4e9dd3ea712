"""Staff are told on how many gateways a change is in force, and can ask again until it is on all."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apiauth.admin import in_force
from apiauth.core import clock
from apiauth.models import App, Deployment, GatewayStatus, RateLimitScheme
from apiauth.services import limits, mass_revoke
from apiauth.services.deployments import IssuedBackendKey
from apiauth.services.keys import IssuedKey
from tests.admin.test_permissions import REASON, act
from tests.admin.test_policy import address as policy_address
from tests.admin.test_policy import filled
from tests.conftest import ACTOR

RULES = [{"unit": "minute", "duration": 1, "max_requests": 5}]
BEFORE, AFTER = "In force on 0 of 1 gateway.", "In force on 1 of 1 gateway."


@pytest.fixture(autouse=True)
def no_gateway(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    GatewayStatus.objects.all().delete()
    monkeypatch.setattr(in_force, "WAIT_SECONDS", 0)


@pytest.fixture
def scheme(deployment: Deployment) -> RateLimitScheme:
    return limits.create_scheme(
        deployment_id=deployment.pk, slug="s", name="S", rules=RULES, actor=ACTOR, now=clock.now()
    )


@pytest.fixture
def watched(
    app: App, make_key: Callable[..., IssuedKey], backend_key: IssuedBackendKey, scheme: RateLimitScheme
) -> dict[str, Any]:
    """One of everything that gateways hold."""
    return {"app": app, "key": make_key().key, "backendkey": backend_key.row, "ratelimitscheme": scheme}


def start_gateway() -> None:
    now = timezone.now()
    GatewayStatus.objects.create(incarnation=uuid4(), host="a", pid=1, generation=1, confirmed_at=now, started_at=now)


def acknowledge() -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE apiauth_gatewaystatus SET epoch = keystead_epoch(), seen = '9999999:9999999:'")


KINDS = pytest.mark.parametrize("kind", ["app", "key", "backendkey", "ratelimitscheme"])


@KINDS
def test_a_page_can_be_asked_again_until_its_change_is_on_all(
    administrator: Client, watched: dict[str, Any], kind: str
) -> None:
    address = reverse(f"admin:apiauth_{kind}_change", args=[watched[kind].pk])
    start_gateway()
    page = administrator.get(address).content.decode()
    assert BEFORE in page
    assert f'<a href="{address}">Look again</a>' in page
    acknowledge()
    page = administrator.get(address).content.decode()
    assert AFTER in page
    assert "Look again" not in page


@KINDS
def test_without_a_gateway_there_is_nothing_to_look_for(
    administrator: Client, watched: dict[str, Any], kind: str
) -> None:
    page = administrator.get(reverse(f"admin:apiauth_{kind}_change", args=[watched[kind].pk])).content.decode()
    assert "No gateway is running." in page
    assert "Look again" not in page


@pytest.mark.parametrize(
    ("kind", "action", "fields"),
    [("key", "revoke", REASON), ("app", "pause", REASON), ("backendkey", "revoke", {"confirmed": "yes"})],
)
def test_an_action_says_how_far_it_has_come(
    administrator: Client, watched: dict[str, Any], kind: str, action: str, fields: dict[str, str]
) -> None:
    start_gateway()
    answer = act(administrator, kind, action, watched[kind], **fields).content.decode()
    assert answer.count(BEFORE) == 1


def test_what_was_refused_is_in_force_nowhere(administrator: Client, watched: dict[str, Any]) -> None:
    act(administrator, "key", "revoke", watched["key"], **REASON)
    start_gateway()
    page = act(administrator, "key", "revoke", watched["key"], **REASON).content.decode()
    assert "already revoked" in page
    assert BEFORE not in page


def test_an_action_says_when_it_is_on_all(administrator: Client, watched: dict[str, Any]) -> None:
    start_gateway()
    acknowledge()
    assert AFTER in act(administrator, "key", "revoke", watched["key"], **REASON).content.decode()


def test_another_scheme_of_an_app_says_so(administrator: Client, app: App, scheme: RateLimitScheme) -> None:
    start_gateway()
    address = reverse("admin:apiauth_app_change", args=[app.pk])
    fields = {"name": "Maps", "default_role": "viewer", "default_overlap_seconds": "60", "rate_limit_scheme": scheme.pk}
    answer = administrator.post(address, fields, follow=True)
    app.refresh_from_db()
    assert app.rate_limit_scheme == scheme
    assert BEFORE in answer.content.decode()


def test_another_rule_of_a_scheme_says_so(administrator: Client, scheme: RateLimitScheme) -> None:
    start_gateway()
    address = reverse("admin:apiauth_ratelimitscheme_change", args=[scheme.pk])
    values = {"name": "S", "description": "", "rules": '[{"unit": "minute", "duration": 1, "max_requests": 6}]'}
    assert BEFORE in administrator.post(address, values, follow=True).content.decode()


def test_another_policy_says_so(administrator: Client, app: App) -> None:
    start_gateway()
    form = {**filled(administrator, app, preset="owner_only"), "_set": "1"}
    assert BEFORE in administrator.post(policy_address(app), form, follow=True).content.decode()


def test_a_mass_revoke_that_is_over_says_so(administrator: Client, watched: dict[str, Any], app: App) -> None:
    start_gateway()
    wanted = mass_revoke.KeyFilter(app_id=app.pk)
    job = mass_revoke.start(wanted, reason="leaked", actor=ACTOR, now=clock.now())
    address = reverse("admin:mass_revoke_run", args=[job.pk])
    assert "In force" not in administrator.get(address).content.decode()
    while not mass_revoke.progress(job, now=clock.now()).is_finished:
        mass_revoke.run_batch(job, now=clock.now())
    page = administrator.get(address).content.decode()
    assert BEFORE in page
    assert "Look again" in page
    acknowledge()
    assert AFTER in administrator.get(address).content.decode()
