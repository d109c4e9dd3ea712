"""The portal shows a session its own app: every page of the URL map, with a stranger's ids."""

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern

from portal import urls
from tests.support.rows import every_row
from tests.support.stage import Stage

ABSENT = {"key_id": "123456789012345678", "request_id": "req_" + "0" * 32}
NONSENSE = {"key_id": "1;drop", "request_id": "req_x"}
# A page that needs no session, and why; everything else leads to the expired page.
WITHOUT_SESSION = {
    "vanity/api-auth": "a ticket comes in here",
    "portal/expired": "says that the session has ended",
    "portal/leave": "ends a session, if there is one",
}
TOKEN = re.compile(rb'name="csrfmiddlewaretoken" value="[^"]+"')


@pytest.fixture(autouse=True)
def _plain_static_files(settings: pytest.FixtureRequest) -> None:
    settings.STORAGES = {  # type: ignore[attr-defined]  # pages are rendered without collecting static files first
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }


def pages() -> Iterator[str]:
    for route in urls.urlpatterns:
        assert isinstance(route, URLPattern), "an include hides pages from this walk: resolve it here"
        yield re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(route.pattern))


PAGES = sorted(set(pages()))
NAMING = [page for page in PAGES if "{" in page]
WITH_SESSION = [page for page in PAGES if page not in WITHOUT_SESSION]


def parameter(page: str) -> str:
    (name,) = re.findall(r"{(\w+)}", page)
    assert name in ABSENT, f"say in ABSENT and NONSENSE of {__file__} what {name} can be"
    return name


def ask(client: Client, method: str, page: str, session_id: int, name: str) -> tuple[int, bytes]:
    form = {"session": str(session_id), "form_token": "fixed", "name": "mine", "confirm": "on"}
    response = client.generic(
        method,
        "/" + re.sub(r"{\w+}", name, page),
        "&".join(f"{field}={value}" for field, value in form.items()),
        content_type="application/x-www-form-urlencoded",
        headers={"X-Request-Id": "same"},
    )
    return response.status_code, TOKEN.sub(b"", response.content)


@pytest.mark.parametrize("page", NAMING)
def test_foreign_absent_and_nonsense_ids_are_one_page(page: str, stage: Stage) -> None:
    field, client = parameter(page), stage.own.page()
    names = (
        stage.foreign.place[field],
        stage.sibling.place[field],
        ABSENT[field],
        NONSENSE[field],
        "0",
        "-1",
        "%00",
        "%F0%9F%94%91",
        "9" * 40,
    )
    for method in ("GET", "POST", "HEAD"):
        before = every_row()
        answers = {ask(client, method, page, stage.own.session.id, name) for name in names}
        assert every_row() == before
        assert len(answers) == 1, f"{method} {page} tells ids apart: {answers}"
        assert answers.pop()[0] in (404, 405)


@pytest.mark.parametrize("page", NAMING)
def test_an_id_of_our_own_is_found(page: str, stage: Stage) -> None:
    client, name = stage.own.page(), stage.own.place[parameter(page)]
    found = [ask(client, method, page, stage.own.session.id, name)[0] for method in ("GET", "POST")]
    assert 404 not in found


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_a_session_a_page_leads_away_and_changes_nothing(
    method: str, stage: Stage, subtests: pytest.Subtests
) -> None:
    before = every_row()
    for page in WITH_SESSION:
        with subtests.test(page):
            name = stage.own.place[parameter(page)] if "{" in page else ""
            status, body = ask(Client(), method, page, stage.own.session.id, name)
            assert status in (303, 405)
            assert not any(mark.encode() in body for mark in stage.own.marks())
    assert every_row() == before


def test_a_list_shows_its_own_app_alone(stage: Stage, subtests: pytest.Subtests) -> None:
    strangers = (stage.foreign.marks() | stage.sibling.marks()) - {str(stage.foreign.key.id)}  # our own query, shown
    for page in (page for page in WITH_SESSION if "{" not in page):
        with subtests.test(page):
            query = {"app": stage.foreign.app.id, "key": stage.foreign.key.id}
            body = stage.own.page().get(f"/{page}", query).content.decode()
            assert not {mark for mark in strangers if mark in body}
