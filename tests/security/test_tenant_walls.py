"""No tenant sees, changes or counts another's anything: every JSON route, with a stranger's names."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from django.db import connection
from django.test import Client
from django.urls import URLPattern

from apiauth.http import urls
from apiauth.models import App, Deployment
from apiauth.services import deployments, limits
from apiauth.services.keys import IssuedKey
from apiauth.services.sessions import OpenedSession
from apiauth.services.tickets import IssuedTicket

JSON = "application/json"
ORIGIN = "http://127.0.0.1:9000"
FOREIGN_SLUG, ABSENT_SLUG = "aa_victim", "aa_absent"
ABSENT_ID = "123456789012345678"
RULE = {"unit": "minute", "duration": 1, "max_requests": 60}
TABLES = ("app", "key", "ratelimitscheme", "ticket", "session", "activityentry")


@dataclass(frozen=True)
class Victim:
    """Another deployment, with one of everything."""

    app: App
    key_id: str


@pytest.fixture
def victim(
    make_deployment: Callable[..., Deployment],
    make_app: Callable[..., App],
    make_key: Callable[..., IssuedKey],
    make_ticket: Callable[..., IssuedTicket],
    actor: object,
    now: object,
) -> Victim:
    other = make_deployment("Victim", origins=("https://victim.example",))
    app = make_app(FOREIGN_SLUG, in_deployment=other)
    limits.create_scheme(deployment_id=other.id, slug=FOREIGN_SLUG, name="Theirs", rules=[RULE], actor=actor, now=now)
    make_ticket(for_app=app)
    return Victim(app, str(make_key("theirs", in_app=app).key.id))


def rows_of(deployment_id: int) -> dict[str, list[str]]:
    """Return every row of one deployment, as text."""
    found = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            statement = f"SELECT row_to_json(t)::text FROM apiauth_{table} t WHERE deployment_id = %s ORDER BY id"
            cursor.execute(statement, [deployment_id])
            found[table] = [row for (row,) in cursor.fetchall()]
    return found


BACKEND_ROUTES = [
    ("GET", "/api-auth/apps/{slug}", None),
    ("PATCH", "/api-auth/apps/{slug}", {"name": "Taken over"}),
    ("DELETE", "/api-auth/apps/{slug}", None),
    ("GET", "/api-auth/apps/{slug}/keys", None),
    ("POST", "/api-auth/apps/{slug}/keys", {"name": "mine"}),
    ("POST", "/api-auth/apps/{slug}/keys/{key}/rotate", {}),
    ("POST", "/api-auth/apps/{slug}/keys/{key}/revoke", {"reason": "mine"}),
    ("GET", "/api-auth/apps/{slug}/audit/logs", None),
    ("GET", "/api-auth/apps/{slug}/audit/analytics?include_top_keys=true", None),
    ("GET", "/api-auth/apps/{slug}/audit/timeseries", None),
    ("GET", "/api-auth/rate-limit-schemes/{slug}", None),
    ("PATCH", "/api-auth/rate-limit-schemes/{slug}", {"name": "Taken over"}),
    ("DELETE", "/api-auth/rate-limit-schemes/{slug}", None),
    ("POST", "/session/tickets", {"ticket_type": "api_auth_access", "api_auth_app_slug": "{slug}"}),
    (
        "POST",
        "/api-auth/apps",
        {"app_slug": "new", "name": "n", "key_prefix": "nn", "rate_limit_scheme_slug": "{slug}"},
    ),
    ("PATCH", "/api-auth/apps/aa_1", {"rate_limit_scheme_slug": "{slug}"}),
    ("POST", "/api-auth/apps/aa_1/keys/{key}/rotate", {}),
    ("POST", "/api-auth/apps/aa_1/keys/{key}/revoke", {}),
]
SESSION_ROUTES = [
    ("POST", "/api-auth/keys/{key}/rotate"),
    ("POST", "/api-auth/keys/{key}/revoke"),
]
# What names nothing: a list or a new thing of the caller's own.
NAMELESS = {
    "health",
    "openapi/<str:name>.json",  # facts of this release
    "docs",
    "docs/",
    "docs/<str:name>",
    "ready",
    "deployment",
    "session/ticket/exchange",
    "api-auth/apps",
    "api-auth/rate-limit-schemes",
    "session/tickets",
    "api-auth/session",
    "api-auth/keys",
    "api-auth/audit/logs",
    "api-auth/audit/analytics",
    "api-auth/audit/timeseries",
}


def same(client: Client, method: str, path: str, body: object, slug: str, key: str) -> tuple[int, bytes]:
    """Return status and body of one request, under a fixed request id."""
    text = json.dumps(body).replace("{slug}", slug) if body is not None else ""
    address = path.format(slug=slug, key=key)
    response = client.generic(method, address, text, content_type=JSON, headers={"X-Request-Id": "same"})
    return response.status_code, response.content


@pytest.mark.parametrize(("method", "path", "body"), BACKEND_ROUTES, ids=[f"{m} {p}" for m, p, _ in BACKEND_ROUTES])
def test_a_backend_key_gets_one_404_for_foreign_and_absent(
    backend: Client, app: App, victim: Victim, method: str, path: str, body: object
) -> None:
    theirs, ours = rows_of(victim.app.deployment_id), rows_of(app.deployment_id)
    foreign = same(backend, method, path, body, FOREIGN_SLUG, victim.key_id)
    absent = same(backend, method, path, body, ABSENT_SLUG, ABSENT_ID)
    nonsense = same(backend, method, path, body, "no%20slug" if "{slug}" in path else "no slug", "no-id")
    assert foreign[0] == 404
    assert foreign == absent == nonsense
    assert rows_of(victim.app.deployment_id) == theirs
    assert rows_of(app.deployment_id) == ours


def test_a_backend_key_lists_its_own_alone(backend: Client, app: App, victim: Victim) -> None:
    assert [row["app_slug"] for row in backend.get("/api-auth/apps?include_inactive=true").json()["apps"]] == [app.slug]
    assert backend.get(f"/api-auth/apps?search={FOREIGN_SLUG}").json()["total"] == 0
    assert backend.get("/api-auth/rate-limit-schemes").json() == {"schemes": [], "total": 0}


def test_a_slug_of_another_deployment_is_free(backend: Client, app: App, victim: Victim) -> None:
    body = {"app_slug": FOREIGN_SLUG, "name": "Mine", "key_prefix": "mine"}
    assert backend.post("/api-auth/apps", body, content_type=JSON).status_code == 200


@pytest.fixture
def page(app: App, session_for: Callable[..., OpenedSession]) -> Client:
    client = Client(headers={"Origin": ORIGIN})
    client.cookies["ks_session"] = session_for(app, role="owner").token
    return client


@pytest.mark.parametrize(("method", "path"), SESSION_ROUTES)
def test_a_session_gets_one_404_for_foreign_and_absent_keys(
    page: Client,
    app: App,
    victim: Victim,
    make_app: Callable[..., App],
    make_key: Callable[..., IssuedKey],
    method: str,
    path: str,
) -> None:
    sibling = make_key("sibling", in_app=make_app("aa_sibling")).key
    theirs, ours = rows_of(victim.app.deployment_id), rows_of(app.deployment_id)
    answers = []
    for key in (victim.key_id, str(sibling.id), ABSENT_ID, "no-id"):
        response = page.generic(method, path.format(key=key), headers={"X-Request-Id": "same"})
        answers.append((response.status_code, response.content))
    assert answers[0][0] == 404
    assert len(set(answers)) == 1
    assert rows_of(victim.app.deployment_id) == theirs
    assert rows_of(app.deployment_id) == ours


def test_a_session_acts_in_its_own_app_whatever_a_request_names(
    page: Client, app: App, victim: Victim, make_key: Callable[..., IssuedKey]
) -> None:
    make_key("ours")
    meant = f"app_slug={FOREIGN_SLUG}&api_auth_app_slug={FOREIGN_SLUG}&app_id={victim.app.id}"
    assert page.get(f"/api-auth/session?{meant}").json()["data"]["api_auth_app"]["app_slug"] == app.slug
    assert [key["name"] for key in page.get(f"/api-auth/keys?{meant}").json()["data"]] == ["ours"]
    form = f"name=new&{meant}&deployment_id={victim.app.deployment_id}"
    theirs = rows_of(victim.app.deployment_id)
    made = page.post("/api-auth/keys", form, content_type="application/x-www-form-urlencoded").json()["data"]
    assert made["app_slug"] == app.slug
    assert rows_of(victim.app.deployment_id) == theirs


def test_a_deployments_page_cannot_use_another_deployments_session(
    victim: Victim, session_for: Callable[..., OpenedSession]
) -> None:
    client = Client(headers={"Origin": ORIGIN})
    client.cookies["ks_session"] = session_for(victim.app).token
    response = client.get("/api-auth/session")
    assert not response.has_header("Access-Control-Allow-Origin")
    form = client.post("/api-auth/keys", "name=x", content_type="application/x-www-form-urlencoded")
    assert form.status_code == 403


def routes() -> Iterator[str]:
    for route in urls.urlpatterns:
        assert isinstance(route, URLPattern)
        yield str(route.pattern)


def test_every_json_route_stands_in_this_test() -> None:
    def shape(path: str) -> str:
        path = path.partition("?")[0].removeprefix("/").replace("aa_1", "{slug}")
        return path.replace("{slug}", "*").replace("{key}", "*")

    tried = {shape(path) for _, path, _ in BACKEND_ROUTES} | {shape(path) for _, path in SESSION_ROUTES}
    known = set()
    for route in routes():
        for name in ("<app_slug>", "<slug>", "<key_id>"):
            route = route.replace(name, "*")
        known.add(route)
    assert known - NAMELESS == tried - NAMELESS


@pytest.fixture
def credentials(
    app: App,
    make_key: Callable[..., IssuedKey],
    make_ticket: Callable[..., IssuedTicket],
    session_for: Callable[..., OpenedSession],
    backend_key: deployments.IssuedBackendKey,
) -> dict[str, str]:
    return {
        "key": make_key("customer").secret.text,
        "backend_key": backend_key.secret.text,
        "ticket": make_ticket().text,
        "session": session_for(app).token,
    }


KINDS = ("key", "backend_key", "ticket", "session")


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_backend_key_opens_the_backend_api(credentials: dict[str, str], kind: str) -> None:
    response = Client(headers={"Authorization": f"Bearer {credentials[kind]}"}).get("/api-auth/apps")
    assert response.status_code == (200 if kind == "backend_key" else 401)
    assert credentials[kind] not in response.content.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_session_opens_the_session_api(credentials: dict[str, str], kind: str) -> None:
    client = Client()
    client.cookies["ks_session"] = credentials[kind]
    assert client.get("/api-auth/session").status_code == (200 if kind == "session" else 401)


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_ticket_is_exchanged(credentials: dict[str, str], kind: str) -> None:
    response = Client(headers={"Accept": JSON}).get("/session/ticket/exchange", {"ticket": credentials[kind]})
    assert response.status_code == (200 if kind == "ticket" else 401)
    assert credentials[kind] not in response.content.decode()


SPELLINGS = [
    "{0}",
    "Token {0}",
    "Bearer",
    "Bearer  {0}",
    "Bearer {0} ",
    "Bearer Bearer {0}",
    "Bearer {0},{0}",
    "Basic {0}",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_401_for_a_backend_key_in_another_spelling(credentials: dict[str, str], spelling: str) -> None:
    header = spelling.format(credentials["backend_key"])
    assert Client(headers={"Authorization": header}).get("/api-auth/apps").status_code == 401


def test_401_for_a_revoked_backend_key_at_the_next_request(
    backend: Client, backend_key: deployments.IssuedBackendKey, deployment: Deployment, actor: object, now: object
) -> None:
    assert backend.get("/api-auth/apps").status_code == 200
    deployments.revoke_backend_key(deployment_id=deployment.id, backend_key_id=backend_key.row.id, actor=actor, now=now)
    assert backend.get("/api-auth/apps").status_code == 401


def test_401_looks_the_same_whatever_is_wrong_with_the_key(credentials: dict[str, str], db: None) -> None:
    good = credentials["backend_key"]
    wrong = [
        "ksb_" + "0" * 49,
        good[:-1],
        good + "x",
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        credentials["key"],
    ]
    answers = {
        Client(headers={"Authorization": f"Bearer {text}", "X-Request-Id": "same"}).get("/api-auth/apps").content
        for text in wrong
    }
    assert len(answers) == 1
