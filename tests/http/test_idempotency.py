"""`Idempotency-Key`: one effect, however often a creating call is sent."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django.test import Client

from apiauth.audit.retention import forget_spent
from apiauth.models import App, IdempotentAnswer, Key, RateLimitScheme, Ticket
from apiauth.services import deployments

JSON = "application/json"
KEYS = "/api-auth/apps/aa_1/keys"
TICKET = {"ticket_type": "api_auth_access", "api_auth_app_slug": "aa_1"}
RULES = [{"unit": "minute", "duration": 1, "max_requests": 60}]


def post(client: Client, path: str, body: dict[str, Any], name: str = "order-1") -> tuple[int, dict[str, Any]]:
    response = client.post(path, body, content_type=JSON, headers={"Idempotency-Key": name})
    return response.status_code, response.json()


def test_a_key_is_made_once_and_its_secret_is_not_shown_again(backend: Client, app: App) -> None:
    _, first = post(backend, KEYS, {"name": "ci"})
    status, second = post(backend, KEYS, {"name": "ci"})

    assert first["secret"]
    assert "replayed" not in first
    assert (status, second) == (200, {**first, "secret": None, "replayed": True})
    assert Key.objects.in_app(app.id).count() == 1


def test_a_key_is_rotated_once(backend: Client, app: App) -> None:
    old = backend.post(KEYS, {"name": "ci"}, content_type=JSON).json()
    _, first = post(backend, f"{KEYS}/{old['id']}/rotate", {})
    status, second = post(backend, f"{KEYS}/{old['id']}/rotate", {})

    assert (status, second) == (200, {**first, "secret": None, "replayed": True})
    assert Key.objects.in_app(app.id).count() == 2


def test_a_ticket_is_issued_once_and_not_shown_again(backend: Client, app: App) -> None:
    _, first = post(backend, "/session/tickets", TICKET)
    status, second = post(backend, "/session/tickets", TICKET)

    assert (status, second) == (200, {**first, "ticket": None, "url": None, "replayed": True})
    assert Ticket.objects.count() == 1


def test_apps_and_schemes_are_made_once(backend: Client) -> None:
    for path, body in (
        ("/api-auth/apps", {"app_slug": "aa_9", "name": "Nine", "key_prefix": "nine"}),
        ("/api-auth/rate-limit-schemes", {"slug": "basic", "name": "Basic", "rules": RULES}),
    ):
        _, first = post(backend, path, body)
        assert post(backend, path, body) == (200, {**first, "replayed": True})
    assert (App.objects.count(), RateLimitScheme.objects.count()) == (1, 1)


def test_no_stored_answer_holds_a_secret(backend: Client, app: App) -> None:
    _, key = post(backend, KEYS, {"name": "ci"})
    _, ticket = post(backend, "/session/tickets", TICKET)

    stored = json.dumps(list(IdempotentAnswer.objects.values_list("answer", flat=True)))
    assert key["secret"] not in stored
    assert ticket["ticket"] not in stored


def test_422_for_another_body(backend: Client, app: App) -> None:
    post(backend, KEYS, {"name": "ci"})
    status, body = post(backend, KEYS, {"name": "other"})

    assert (status, body["code"]) == (422, "idempotency_key_reused")
    assert Key.objects.in_app(app.id).count() == 1


def test_a_refused_call_is_not_remembered(backend: Client, app: App) -> None:
    assert post(backend, KEYS, {"name": ""})[0] == 400
    assert post(backend, KEYS, {"name": "ci"})[0] == 200


def test_one_name_on_two_routes_is_two_calls(backend: Client, app: App, make_app: Any) -> None:
    make_app("aa_2")
    post(backend, KEYS, {"name": "ci"})
    _, other = post(backend, "/api-auth/apps/aa_2/keys", {"name": "ci"})

    assert other["secret"]


def test_one_name_of_two_backend_keys_is_two_calls(backend: Client, app: App, actor: Any, now: Any) -> None:
    issued = deployments.issue_backend_key(deployment_id=app.deployment_id, name="other", actor=actor, now=now)
    other = Client(headers={"Authorization": f"Bearer {issued.secret.text}"})
    post(backend, KEYS, {"name": "ci"})

    assert post(other, KEYS, {"name": "ci"})[1]["secret"]


@pytest.mark.parametrize("name", ["", " ", "x" * 256, "caf\u00e9", "a\tb", "a\x7f"])
def test_400_for_a_name_that_cannot_be_used(backend: Client, app: App, name: str) -> None:
    status, body = post(backend, KEYS, {"name": "ci"}, name)

    assert (status, body["errors"][0]["field"]) == (400, "Idempotency-Key")
    assert not Key.objects.in_app(app.id).exists()


@pytest.fixture
def database(transactional_db: None) -> Iterator[psycopg.Connection[Any]]:
    name = connection.settings_dict["NAME"]
    with psycopg.connect(settings.ENVIRONMENT.database_url, dbname=name, autocommit=True) as direct:
        yield direct


@pytest.mark.django_db(transaction=True)
def test_twenty_posts_at_once_make_one_key(backend: Client, app: App, backend_key: Any) -> None:
    start = Barrier(20)

    def send(_: int) -> tuple[int, dict[str, Any]]:
        try:
            client = Client(headers={"Authorization": f"Bearer {backend_key.secret.text}"})
            start.wait(timeout=30)
            return post(client, KEYS, {"name": "ci"})
        finally:
            connections.close_all()

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(send, range(20)))

    assert Key.objects.in_app(app.id).count() == 1
    assert len([body for _, body in answers if body.get("secret")]) == 1
    for status, body in answers:
        assert status == 200 or (status, body["code"]) == (409, "in_flight"), body


def test_answers_are_forgotten_after_a_day(database: psycopg.Connection[Any], backend: Client, app: App) -> None:
    post(backend, KEYS, {"name": "old"}, "old")
    IdempotentAnswer.objects.update(created_at=IdempotentAnswer.objects.get().created_at - timedelta(hours=25))
    post(backend, KEYS, {"name": "new"}, "new")
    forget_spent(database)

    assert IdempotentAnswer.objects.count() == 1


def test_the_migration_matches_the_models(db: None) -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
