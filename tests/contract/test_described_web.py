"""schemathesis reads the documents of both JSON APIs and tries them, with all its checks, on the real application."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from schemathesis.core.parameters import ParameterLocation

from apiauth.core import clock
from apiauth.core.cookies import session_cookie_name
from apiauth.models import App, Key
from apiauth.services import limits
from apiauth.services.deployments import IssuedBackendKey
from apiauth.services.keys import IssuedKey
from apiauth.services.sessions import OpenedSession
from tests.conftest import ACTOR
from tests.contract.described import load
from tests.contract.spoken_rules import keeping
from tests.http.test_audit import record

pytestmark = [pytest.mark.django_db, pytest.mark.timeout(180)]

ORIGIN = "http://127.0.0.1:9000"
EXAMPLES = settings(max_examples=20, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
BACKEND, SESSION = load("backend"), load("session")


class World:
    """One app with a key and a scheme, and the credentials to manage it; every case finds it the same."""

    def __init__(self, app: App, key: IssuedKey, backend_key: IssuedBackendKey, session: OpenedSession) -> None:
        self.paths = {"app_slug": app.slug, "slug": "basic", "key_id": str(key.key.id), "subject_id": "user_42"}
        self.bearer = {"Authorization": f"Bearer {backend_key.secret.text}"}
        self.cookie = {"Cookie": f"{session_cookie_name(is_https=False)}={session.token}"}

    def place(self, case: Any) -> None:
        """Let a case be about things that exist, and keep to the rules that are told in words."""
        sound = {location for location, part in case.meta.components.items() if part.mode.is_positive}
        if ParameterLocation.PATH in sound:
            case.path_parameters = {name: self.paths.get(name, value) for name, value in case.path_parameters.items()}
        if ParameterLocation.QUERY in sound and case.query:
            case.query = keeping(case.query)
        if ParameterLocation.BODY in sound and isinstance(case.body, dict):
            case.body = keeping(case.body)
            if "api_auth_app_slug" in case.body:
                case.body = {**case.body, "api_auth_app_slug": self.paths["app_slug"]}


@pytest.fixture
def world(
    one_connection: None,
    app: App,
    make_key: Callable[..., IssuedKey],
    backend_key: IssuedBackendKey,
    session_for: Callable[..., OpenedSession],
) -> World:
    App.objects.filter(pk=app.pk).update(permissions=[])
    rules = [{"unit": "minute", "duration": 1, "max_requests": 60}]
    limits.create_scheme(
        deployment_id=app.deployment_id, slug="basic", name="Basic", rules=rules, actor=ACTOR, now=clock.now()
    )
    return World(app, make_key(), backend_key, session_for(role="owner"))


@pytest.fixture
def traffic(app: App, world: World) -> None:
    """An allowed and a blocked call, so that no list is empty."""
    key = Key.objects.get(pk=world.paths["key_id"])
    record(app, key, clock.now())
    record(app, None, clock.now(), rule="key_unknown", blocked_by="key_unknown", presented_start="nw")


@BACKEND.parametrize()
@EXAMPLES
def test_the_backend_api_is_as_described(case: Any, world: World, traffic: None) -> None:
    with transaction.atomic():
        world.place(case)
        case.call_and_validate(headers=world.bearer if case.operation.security else {})
        transaction.set_rollback(True)


@SESSION.parametrize()
@EXAMPLES
def test_the_session_api_is_as_described(case: Any, world: World, traffic: None) -> None:
    with transaction.atomic():
        world.place(case)
        origin = {"Origin": ORIGIN} if "Origin" in (case.headers or {}) else {}
        case.call_and_validate(headers={**world.cookie, **origin} if case.operation.security else {})
        transaction.set_rollback(True)
