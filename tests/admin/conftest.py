"""Staff of every group, and what to look for when a secret must be nowhere."""

from collections.abc import Callable, Iterator

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client

from apiauth.services import installation


@pytest.fixture(autouse=True)
def _plain_static_files(settings: pytest.FixtureRequest) -> None:
    """Pages are rendered without collecting static files first."""
    settings.STORAGES = {  # type: ignore[attr-defined]
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }


@pytest.fixture
def enter(db: None) -> Callable[..., Client]:
    """A client of somebody on the staff: of a group, or the administrator."""
    installation.make_groups()

    def make(group: str | None = None) -> Client:
        user = User(username=group or "administrator", is_staff=True, is_superuser=group is None)
        user.save()
        if group:
            user.groups.add(Group.objects.get(name=group))
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def administrator(enter: Callable[..., Client]) -> Client:
    return enter()


@pytest.fixture
def stored() -> Callable[[], str]:
    """Everything that any table holds, as text: what a dump of the database would show."""

    def rows() -> Iterator[str]:
        with connection.cursor() as cursor:
            for table in connection.introspection.table_names(cursor):
                cursor.execute(f'SELECT row_to_json(t)::text FROM "{table}" t')  # the catalogue's own names
                yield from (text for (text,) in cursor.fetchall())

    return lambda: "\n".join(rows())
