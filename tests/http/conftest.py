"""A gateway in this process, a key, and the limits of its app."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apiauth.core import clock
from apiauth.models import App, Deployment
from apiauth.services import apps, limits
from apiauth.services.keys import IssuedKey
from tests.conftest import ACTOR
from tests.support.gateways import GatewayInProcess


@pytest.fixture
def gateway(transactional_db: None, tmp_path: Path) -> Iterator[GatewayInProcess]:
    gateway = GatewayInProcess(tmp_path)
    yield gateway
    gateway.close()


@pytest.fixture
def secret(make_key: Callable[..., IssuedKey]) -> str:
    return make_key(permissions=["routes:read"], metadata={"team": "blue"}).secret.text


@pytest.fixture
def limit_app(app: App, deployment: Deployment) -> Callable[..., None]:
    def limit(*rules: dict[str, Any]) -> None:
        limits.create_scheme(deployment_id=deployment.id, slug="s", name="S", rules=rules, actor=ACTOR, now=clock.now())
        changes = {"rate_limit_scheme_slug": "s"}
        apps.update_app(deployment_id=deployment.id, slug=app.slug, changes=changes, actor=ACTOR, now=clock.now())

    return limit
