"""No tenant sees, changes or counts another's anything: every JSON route, with every stranger's credential and names.

The routes come from the URL map (`tests/support/routes.py`), so that a new one stands here by itself.
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client

from apiauth.core import clock, roles
from apiauth.core.cookies import EMBED_NAME
from apiauth.core.roles import Role
from apiauth.services import apps, deployments, sessions
from tests.support import routes
from tests.support.routes import BACKEND, OPERATIONS, SESSION, WITH_BODY, Field, Operation, named
from tests.support.rows import Rows, every_row
from tests.support.stage import ABSENT, ACTOR, NONSENSE, Place, Stage, good, make_ready, send

OPEN_BECAUSE = {
    "GET /deployment": "tells facts of the installation alone",
    "GET /session/ticket/exchange": "the ticket is the credential",
    "POST /session/ticket/exchange": "the ticket is the credential",
}
Answer = tuple[int, bytes]


def refused(
    stage: Stage, client: Client, operation: Operation, place: Place, but: tuple[str, ...] = (), **request: object
) -> Answer:
    """Send a request that is to be refused; return its answer once no row, `but` of some tables, has changed."""
    before = every_row(but=but)
    answer = send(client, operation, place, good(operation, stage.own), **request)
    assert every_row(but=but) == before, f"{operation.name} was refused ({answer[0]}) and changed a row"
    return answer


def test_every_address_is_walked() -> None:
    walked = {operation.path.removeprefix("/") for operation in OPERATIONS}
    assert routes.addresses() == walked | set(routes.WITHOUT_OPERATION)


def test_an_operation_without_credential_says_why() -> None:
    assert {operation.name for operation in routes.OPEN} == set(OPEN_BECAUSE)


def staff_cookie() -> str:
    client = Client()
    client.force_login(User.objects.get_or_create(username="staff", is_staff=True, is_superuser=True)[0])
    return client.cookies["ks_staff"].value


def with_cookies(**cookies: str) -> Client:
    client = Client(headers={"Origin": "http://127.0.0.1:9000"})
    for name, value in cookies.items():
        client.cookies[name] = value
    return client


def with_bearer(text: str) -> Client:
    return Client(headers={"Authorization": f"Bearer {text}"})


def revoked_backend_key(stage: Stage) -> str:
    own = {"deployment_id": stage.own.deployment_id, "actor": ACTOR, "now": clock.now()}
    issued = deployments.issue_backend_key(name="revoked", **own)
    deployments.revoke_backend_key(backend_key_id=issued.row.id, **own)
    return issued.secret.text


def wrong_bearers(stage: Stage) -> dict[str, Client]:
    good_key = stage.own.backend_key.secret.text
    texts = {
        "a customer's key": stage.own.key_text,
        "a ticket": stage.own.ticket(),
        "a session's token": stage.own.session_token,
        "a staff session": staff_cookie(),
        "a revoked backend key": revoked_backend_key(stage),
        "a backend key nobody has": "ksb_" + "0" * 49,
        "a backend key cut short": good_key[:-1],
        "a backend key with more": good_key + "x",
        "a backend key with another checksum": good_key[:-1] + ("0" if good_key[-1] != "0" else "1"),
        "a backend key in capitals": good_key.upper(),
    }
    return {kind: with_bearer(text) for kind, text in texts.items()}


def no_bearer(stage: Stage) -> dict[str, Client]:
    good_key = stage.own.backend_key.secret.text
    spellings = {
        "the key alone": "{0}",
        "a token": "Token {0}",
        "no key": "Bearer",
        "two spaces": "Bearer  {0}",
        "a space behind": "Bearer {0} ",
        "the word twice": "Bearer Bearer {0}",
        "basic": "Basic {0}",
    }
    return {
        "nothing": Client(),
        "a session's cookie": with_cookies(ks_session=stage.own.session_token),
        "a staff cookie": with_cookies(ks_staff=staff_cookie()),
        "a backend key in a cookie": with_cookies(ks_session=good_key),
        **{kind: Client(headers={"Authorization": spelling.format(good_key)}) for kind, spelling in spellings.items()},
    }


def wrong_sessions(stage: Stage) -> dict[str, Client]:
    ended, orphan = stage.own.new_session(), stage.sibling.new_session()
    sessions.end_session(ended.session, reason="signed out", now=clock.now(), via="portal")
    apps.delete_app(
        deployment_id=stage.sibling.deployment_id, slug=stage.sibling.app.slug, actor=ACTOR, now=clock.now()
    )
    cookies = {
        "a customer's key": stage.own.key_text,
        "a backend key": stage.own.backend_key.secret.text,
        "a ticket": stage.own.ticket(),
        "a staff session": staff_cookie(),
        "an ended session": ended.token,
        "a session of a deleted app": orphan.token,
        "a session nobody has": "kss_" + "0" * 49,
        "a session cut short": stage.own.session_token[:-1],
        "an empty text": "",
    }
    return {
        "nothing": with_cookies(),
        "a staff cookie": with_cookies(ks_staff=staff_cookie()),
        "a session in the cookie of an embedded page": with_cookies(**{EMBED_NAME: stage.own.session_token}),
        "a backend key as a bearer": stage.own.backend(),
        "a session's token as a bearer": with_bearer(stage.own.session_token),
        **{f"{kind} as the cookie": with_cookies(ks_session=text) for kind, text in cookies.items()},
    }


def places(stage: Stage) -> list[Place]:
    return [stage.own.place, stage.foreign.place, ABSENT, NONSENSE]


def assert_one_401(stage: Stage, operation: Operation, clients: dict[str, Client]) -> None:
    before = every_row()
    answers: dict[Answer, list[str]] = defaultdict(list)
    for (kind, client), place in itertools.product(clients.items(), places(stage)):
        answers[send(client, operation, place, good(operation, stage.own))].append(kind)
    assert every_row() == before
    assert {status for status, _ in answers} == {401}, answers
    assert len(answers) == 1, f"the 401 tells credentials apart: {answers}"


def test_only_a_backend_key_opens_it_and_whatever_is_wrong_looks_the_same(
    stage: Stage, subtests: pytest.Subtests
) -> None:
    presented, absent = wrong_bearers(stage), no_bearer(stage)
    for operation in BACKEND:
        with subtests.test(operation.name):
            assert_one_401(stage, operation, presented)
            assert_one_401(stage, operation, absent)


def test_only_a_live_session_opens_it_and_whatever_is_wrong_looks_the_same(
    stage: Stage, subtests: pytest.Subtests
) -> None:
    clients = wrong_sessions(stage)
    for operation in SESSION:
        with subtests.test(operation.name):
            assert_one_401(stage, operation, clients)


def without_scope(stage: Stage, scope: str) -> Client:
    scopes = [name for name in deployments.SCOPES if name != scope]
    own = {"deployment_id": stage.own.deployment_id, "actor": ACTOR, "now": clock.now()}
    text = deployments.issue_backend_key(name="narrow", scopes=scopes, **own).secret.text
    deployments.authenticate_backend_key(text, now=clock.now())  # notes its use, once a minute
    return with_bearer(text)


def test_a_key_without_the_scope_gets_403_before_anything_is_looked_up(stage: Stage, subtests: pytest.Subtests) -> None:
    for operation in BACKEND:
        with subtests.test(operation.name):
            scope = operation.access.scope
            client = without_scope(stage, scope)
            traces = ACTIVITY if scope == "tickets:issue" else ()  # a refused ticket is noted
            answers = {refused(stage, client, operation, place, but=traces) for place in places(stage)}
            answers.add(send(client, operation, stage.own.place, "not json"))
            assert len(answers) == 1, answers
            status, body = answers.pop()
            assert (status, json.loads(body)["details"]) == (403, {"missing_scope": scope})


CHANGES = [operation for operation in SESSION if operation.is_change]
BY_DEFAULT = roles.Authority()
BEYOND_A_VIEWER = [each for each in SESSION if not roles.may(BY_DEFAULT, Role.VIEWER, each.access.action)]
ACTIVITY = ("apiauth_activityentry", "apiauth_activitychain")  # where a refused attempt leaves its trace


def test_a_role_below_gets_403_before_anything_is_looked_up(stage: Stage, subtests: pytest.Subtests) -> None:
    page = stage.own.page_of(stage.own.new_session(role="viewer").token)
    for operation in BEYOND_A_VIEWER:
        with subtests.test(operation.name):
            before = every_row(but=ACTIVITY)
            answers = {send(page, operation, place, good(operation, stage.own)) for place in places(stage)}
            assert every_row(but=ACTIVITY) == before
            assert {status for status, _ in answers} == {403}
            assert len(answers) == 1, answers


ORIGINS = (None, "null", "https://victim.example", "http://127.0.0.1:9001", "http://127.0.0.1:9000.evil.example")


def test_another_page_changes_nothing_with_our_cookie(stage: Stage, subtests: pytest.Subtests) -> None:
    for operation in CHANGES:
        with subtests.test(operation.name):
            for origin in ORIGINS:
                page = Client(headers={"Origin": origin} if origin else {})
                page.cookies["ks_session"] = stage.own.session_token
                answers = {refused(stage, page, operation, place) for place in places(stage)}
                told = [(status, json.loads(body)["code"]) for status, body in answers]
                assert told == [(403, "origin_not_allowed")], origin


def elsewhere(stage: Stage, operation: Operation) -> Iterator[tuple[str, Place]]:
    """Return addresses that are not all the caller's own, each with the parameter that leads away first."""
    for chosen in itertools.product(*(_names(stage, operation, name) for name in operation.parameters)):
        place = dict(zip(operation.parameters, chosen, strict=True))
        leads_away = [name for name in operation.parameters if place[name] != stage.own.place[name]]
        if leads_away:
            yield leads_away[0], place


def _names(stage: Stage, operation: Operation, parameter: str) -> list[str]:
    assert parameter in ABSENT, f"say in ABSENT and NONSENSE of tests/support/stage.py what {parameter} can be"
    assert parameter in stage.own.place, f"say in Tenant.place of tests/support/stage.py what a {parameter} is"
    others = [stage.foreign.place, ABSENT, NONSENSE]
    if parameter == "key_id":  # the key of another app of the same deployment is as foreign as any
        others.append(stage.sibling.place)
    return [place[parameter] for place in (stage.own.place, *others)]


def assert_one_404(stage: Stage, operation: Operation) -> None:
    client = stage.own.client(operation)
    answers: dict[str, dict[Answer, list[Place]]] = defaultdict(lambda: defaultdict(list))
    for parameter, place in elsewhere(stage, operation):
        answers[parameter][refused(stage, client, operation, place)].append(place)
    assert set(answers) == set(operation.parameters)
    for parameter, found in answers.items():
        assert {status for status, _ in found} == {404}, found
        assert len(found) == 1, f"the 404 tells {parameter} apart: {dict(found)}"


def test_foreign_absent_and_nonsense_names_are_one_404(stage: Stage, subtests: pytest.Subtests) -> None:
    for operation in OPERATIONS:
        if operation.parameters:
            with subtests.test(operation.name):
                assert_one_404(stage, operation)


def test_a_session_of_another_app_finds_none_of_ours(stage: Stage, subtests: pytest.Subtests) -> None:
    for operation in (operation for operation in SESSION if operation.parameters):
        with subtests.test(operation.name):
            for other in (stage.sibling, stage.foreign):
                answers = {refused(stage, other.page(), operation, place) for place in (stage.own.place, ABSENT)}
                assert [status for status, _ in answers] == [404], other.name


NAMES = [(o, field) for o in WITH_BODY for field in o.fields if field.path.endswith(("_id", "slug", ".id"))]
REFERRING = [(operation, field) for operation, field in NAMES if field.path not in routes.LABELS]


def assert_foreign_is_as_absent(stage: Stage, operation: Operation, field: Field) -> None:
    told = field.path in routes.REFERENCES
    assert told, f"say in REFERENCES or LABELS of tests/support/routes.py whether {field.path} is looked up"
    parameter = {"app": "app_slug", "scheme": "slug"}[routes.REFERENCES[field.path]]
    before, answers = every_row(), set()
    for name in (stage.foreign.place[parameter], ABSENT[parameter], "no slug", "../own_app"):
        body = field.within(good(operation, stage.own), name)
        answers.add(send(stage.own.backend(), operation, stage.own.place, body))
    assert every_row() == before
    assert [status for status, _ in answers] == [404], answers


def test_a_name_in_a_body_that_is_foreign_is_as_one_that_is_absent(stage: Stage, subtests: pytest.Subtests) -> None:
    for operation, field in REFERRING:
        with subtests.test(f"{field.path} of {operation.name}"):
            assert_foreign_is_as_absent(stage, operation, field)


ASKING = [operation for operation in OPERATIONS if "key_id" in operation.query]


def test_a_question_about_a_foreign_key_is_answered_as_about_an_absent_one(
    stage: Stage, subtests: pytest.Subtests
) -> None:
    for operation in ASKING:
        with subtests.test(operation.name):
            client = stage.own.client(operation)
            keys = [stage.foreign.key.id, stage.sibling.key.id, ABSENT["key_id"]]
            answers = {send(client, operation, stage.own.place, query=f"?key_id={key}") for key in keys}
            assert [status for status, _ in answers] == [200], answers


def rows_of(deployment_id: int) -> Rows:
    """Return the rows that name a deployment, its own row among them."""
    named = {table: [row for row in rows if str(deployment_id) in row] for table, rows in every_row().items()}
    return {table: rows for table, rows in named.items() if rows}


@pytest.mark.parametrize("operation", BACKEND + SESSION, ids=named)
def test_its_own_names_do_what_they_should_and_show_and_touch_nobody_elses(operation: Operation, stage: Stage) -> None:
    make_ready(operation, stage.own)
    theirs = rows_of(stage.foreign.deployment_id)
    meant = "".join(f"&{name}={stage.foreign.app.slug}" for name in ("app_slug", "api_auth_app_slug", "search"))
    query = f"?app_id={stage.foreign.app.id}&deployment_id={stage.foreign.deployment_id}{meant}&include_inactive=true"
    place = {**stage.own.place, "slug": stage.own.scheme.slug}
    status, body = send(stage.own.client(operation), operation, place, good(operation, stage.own), query=query)
    assert status in (200, 204), body
    shown = {mark for mark in stage.foreign.marks() if mark in body.decode()}
    assert not shown
    assert rows_of(stage.foreign.deployment_id) == theirs


READS = [operation for operation in BACKEND + SESSION if operation.method == "GET"]


def test_a_page_shows_its_own_app_and_a_backend_its_own_deployment(stage: Stage, subtests: pytest.Subtests) -> None:
    for operation in READS:
        with subtests.test(operation.name):
            status, body = send(stage.own.client(operation), operation, stage.own.place, query="?include_inactive=true")
            assert status == 200
            others = stage.foreign.marks() | (stage.sibling.marks() if operation.is_frontend else set())
            assert not {mark for mark in others if mark in body.decode()}
            if "analytics" not in operation.path and "timeseries" not in operation.path:
                assert "own" in body.decode()


def test_a_slug_of_another_deployment_is_free(stage: Stage) -> None:
    body = {"app_slug": stage.foreign.app.slug, "name": "Mine", "key_prefix": "mine"}
    assert stage.own.backend().post("/api-auth/apps", body, content_type="application/json").status_code == 200


def test_a_page_of_another_deployment_may_not_read_our_sessions_answers(
    stage: Stage, subtests: pytest.Subtests
) -> None:
    page = stage.own.page_of(stage.own.session_token)
    for operation in (operation for operation in SESSION if operation.method == "GET"):
        with subtests.test(operation.name):
            response = page.get(operation.path, headers={"Origin": stage.foreign.origin})
            assert response.status_code == 200
            assert not response.has_header("Access-Control-Allow-Origin")
