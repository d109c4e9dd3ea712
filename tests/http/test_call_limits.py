"""How many calls of the JSON API one credential may make, and what each answer says of it."""

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import time_machine
from django.conf import settings
from django.test import Client

from apiauth.core import clock
from apiauth.http import call_limits
from apiauth.models import App, Key
from apiauth.services import deployments, host_limits
from apiauth.services.sessions import OpenedSession
from apiauth.verify.limiter import Limiter

JSON = "application/json"
CALLS = 3


@pytest.fixture(autouse=True)
def few_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let three calls a minute through, and time stand still, so that all calls of a test lie in one minute."""
    monkeypatch.setattr(settings, "ENVIRONMENT", replace(settings.ENVIRONMENT, calls_per_minute=CALLS))
    call_limits._rule.cache_clear()
    with time_machine.travel(clock.now(), tick=False):
        yield
    call_limits._rule.cache_clear()


def test_each_answer_says_how_many_calls_are_left(backend: Client, app: App) -> None:
    for left in (2, 1, 0):
        response = backend.get("/api-auth/apps")
        assert response.status_code == 200
        assert response["RateLimit-Policy"] == f'"{CALLS}/60s";q={CALLS};w=60'
        assert re.fullmatch(rf'"{CALLS}/60s";r={left};t=([1-9]|[1-5][0-9]|60)', response["RateLimit"])


def test_429_with_the_seconds_to_wait_when_none_is_left(backend: Client, app: App) -> None:
    for _ in range(CALLS):
        backend.get("/api-auth/apps")
    response = backend.post("/api-auth/apps/aa_1/keys", {"name": "ci"}, content_type=JSON)
    assert (response.status_code, response.json()["code"]) == (429, "too_many")
    assert response["RateLimit"].startswith(f'"{CALLS}/60s";r=0;t=')
    assert response["RateLimit"].endswith(f"t={response['Retry-After']}")
    assert not Key.objects.exists()


def test_a_refused_call_counts_and_says_so_too(backend: Client, app: App) -> None:
    assert ";r=2;" in backend.get("/api-auth/apps/none")["RateLimit"]
    assert ";r=1;" in backend.get("/api-auth/apps?limit=x")["RateLimit"]


def test_each_backend_key_and_each_session_has_a_count_of_its_own(
    backend: Client, app: App, actor: object, now: object, session_for: Callable[..., OpenedSession]
) -> None:
    issued = deployments.issue_backend_key(deployment_id=app.deployment_id, name="other", actor=actor, now=now)
    other = Client(headers={"Authorization": f"Bearer {issued.secret.text}"})
    page = Client()
    page.cookies["ks_session"] = session_for(app).token
    for client, path in ((backend, "/api-auth/apps"), (other, "/api-auth/apps"), (page, "/api-auth/session")):
        assert ";r=2;" in client.get(path)["RateLimit"]


def test_who_is_not_let_in_learns_of_no_limit(db: None) -> None:
    response = Client().get("/api-auth/apps")
    assert response.status_code == 401
    assert not response.has_header("RateLimit")


def test_first_calls_at_once_are_counted_by_one_limiter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread that is making one waits for the others: they would all make one if they could."""
    made, together = [], threading.Barrier(4)

    def make(*arguments: Any) -> Limiter:
        made.append(arguments)
        with suppress(threading.BrokenBarrierError):
            together.wait(0.2)
        return Limiter(*arguments)

    monkeypatch.setattr(host_limits, "Limiter", make)
    host_limits._made.cache_clear()
    with ThreadPoolExecutor(4) as threads:
        limiters = {threads.submit(host_limits.limiter) for _ in range(4)}
    assert len({id(each.result()) for each in limiters}) == len(made) == 1
