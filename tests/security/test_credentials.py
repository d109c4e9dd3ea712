"""Each kind of credential opens its own slot and no other: five kinds, five slots, the diagonal alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.support.gateways import GatewayInProcess
from tests.support.stage import Stage, Tenant

pytestmark = pytest.mark.django_db(transaction=True)  # the gateway reads through a connection of its own


KINDS = ("a customer's key", "a backend key", "a ticket", "a session", "a staff session")
Slot = Callable[[str], bool]


def credentials(own: Tenant) -> dict[str, str]:
    """Return one live credential of each kind, freshly made: using one up must not spoil the next slot."""
    client = Client()
    client.force_login(User.objects.get_or_create(username="staff", is_staff=True, is_superuser=True)[0])
    texts = (
        own.key_text,
        own.backend_key.secret.text,
        own.ticket(),
        own.new_session().token,
        client.cookies["ks_staff"].value,
    )
    return dict(zip(KINDS, texts, strict=True))


def opens_the_backend_api(text: str) -> bool:
    response = Client(headers={"Authorization": f"Bearer {text}"}).get("/api-auth/apps")
    assert response.status_code in (200, 401)
    assert text not in response.content.decode()
    return response.status_code == 200


def is_exchanged(text: str) -> bool:
    response = Client(headers={"Accept": "application/json"}).get("/session/ticket/exchange", {"ticket": text})
    assert response.status_code in (200, 401)
    assert text not in response.content.decode()
    return response.status_code == 200


def is_a_session(text: str) -> bool:
    client = Client()
    client.cookies["ks_session"] = text
    statuses = (client.get("/api-auth/session").status_code, client.get("/portal/keys").status_code)
    assert statuses in ((200, 200), (401, 303))
    return statuses[0] == 200


def is_staff(text: str) -> bool:
    client = Client()
    client.cookies["ks_staff"] = text
    status = client.get("/admin/").status_code
    assert status in (200, 302)
    return status == 200


@pytest.fixture
def slots(stage: Stage, tmp_path: Path, settings: pytest.FixtureRequest) -> dict[str, Slot]:
    settings.STORAGES = {  # type: ignore[attr-defined]  # pages are rendered without collecting static files first
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    gateway = GatewayInProcess(tmp_path)

    def is_checked(text: str) -> bool:
        status, answer = gateway.check(text)
        assert (status == 200) is answer["allowed"]
        return answer["allowed"]

    opened = (is_checked, opens_the_backend_api, is_exchanged, is_a_session, is_staff)
    yield dict(zip(KINDS, opened, strict=True))
    gateway.close()


def test_only_the_diagonal_opens(stage: Stage, slots: dict[str, Slot]) -> None:
    opened = {
        (kind, place) for place, opens in slots.items() for kind, text in credentials(stage.own).items() if opens(text)
    }
    assert opened == {(kind, kind) for kind in KINDS}
