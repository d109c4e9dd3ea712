"""The browser session API, by outcome."""

import base64
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client

from apiauth.core import clock
from apiauth.core.events import Event
from apiauth.core.policy import read_policy
from apiauth.models import ActivityEntry, App, Key, Session
from apiauth.services import keys
from apiauth.services.keys import IssuedKey
from apiauth.services.sessions import OpenedSession

ORIGIN = "http://127.0.0.1:9000"
FORM = "application/x-www-form-urlencoded"
Browser = Callable[..., Client]


@pytest.fixture
def browser(session_for: Callable[..., OpenedSession]) -> Browser:
    """A page of the product, in a live session."""

    def make(app: App | None = None, *, origin: str | None = ORIGIN, **fields: object) -> Client:
        client = Client(headers={"Origin": origin} if origin else {})
        client.cookies["ks_session"] = session_for(app, **fields).token
        return client

    return make


def data_of(response: object) -> object:
    body = response.json()
    assert (response.status_code, body["status"], body["errors"], body["session"]) == (200, 200, None, None), body
    return body["data"]


def test_the_deployment_answers_facts_of_the_installation_alone(db: None) -> None:
    data = data_of(Client().get("/deployment"))
    assert data["mode"] == "production"
    kind, environment, encoded = data["publishable_key"].split("_")
    assert (kind, environment, base64.b64decode(encoded).decode()) == ("pk", "live", data["backend_host"])
    assert not {"id", "name", "project_id", "deployment_id"} & set(data)


def test_the_session_shows_its_app(browser: Browser, app: App) -> None:
    data = data_of(browser().get("/api-auth/session"))
    assert data["session_id"] == str(Session.objects.get().id)
    assert data["api_auth_app"] == {
        "id": str(app.id),
        "app_slug": app.slug,
        "name": app.name,
        "key_prefix": app.key_prefix,
        "is_active": True,
        "rate_limits": [],
        "permissions": ["routes:read", "routes:write"],
        "resources": [],
        "default_overlap_seconds": 0,
    }


def test_the_session_says_for_whom_and_how_far_it_reaches(browser: Browser, app: App) -> None:
    client = browser(
        subject_id="42", role="member", permissions=["routes:read"], key_cap=3, locale="pt-BR", theme="dark"
    )
    data = data_of(client.get("/api-auth/session"))
    assert data["subject"] == {"id": "42", "name": "Dana Okafor", "email": ""}
    assert (data["role"], data["permissions"], data["key_cap"]) == ("member", ["routes:read"], 3)
    assert (data["locale"], data["theme"], data["longest_expiry_days"]) == ("pt-BR", "dark", None)
    assert data["ends_at"] > clock.now().isoformat()


CATALOGUE = {
    "permission_details": {
        "routes:read": {"description": "Look routes up.", "group": "Routes"},
        "gone:read": {"description": "Of a permission that the app lacks.", "group": ""},
    },
    "permission_presets": {"Write only": ["routes:write"], "Nothing of it": ["gone:read"]},
}


def test_the_session_names_what_a_form_for_keys_offers(browser: Browser, app: App) -> None:
    App.objects.filter(pk=app.pk).update(**CATALOGUE)

    data = data_of(browser().get("/api-auth/session"))

    assert data["permission_details"] == {
        "routes:read": {"description": "Look routes up.", "group": "Routes"},
        "routes:write": {"description": "", "group": ""},
    }
    assert data["presets"] == [{"name": "Write only", "permissions": ["routes:write"]}]


def test_the_session_names_no_permission_beyond_its_bounds(browser: Browser, app: App) -> None:
    App.objects.filter(pk=app.pk).update(**CATALOGUE)

    data = data_of(browser(permissions=["routes:read"]).get("/api-auth/session"))

    assert set(data["permission_details"]) == {"routes:read"}
    assert data["presets"] == []


def test_an_app_without_choices_of_its_own_has_the_one_to_read_only(browser: Browser) -> None:
    data = data_of(browser().get("/api-auth/session"))
    assert data["presets"] == [{"name": "Read only", "permissions": ["routes:read"]}]


def test_401_without_a_session(db: None) -> None:
    for address in ("session", "keys", "audit/logs", "audit/analytics", "audit/timeseries"):
        response = Client().get(f"/api-auth/{address}")
        assert (response.status_code, response.json()["errors"][0]["code"]) == (401, "not_authenticated")


def test_keys_are_a_bare_list_without_absent_moments(browser: Browser, make_key: Callable[..., IssuedKey]) -> None:
    make_key("first")
    (key,) = data_of(browser().get("/api-auth/keys"))
    assert not {"expires_at", "last_used_at", "revoked_at", "revoked_reason", "secret"} & set(key)
    assert key["org_role_permissions"] == key["workspace_role_permissions"] == []


def test_keys_are_filtered_by_status(
    browser: Browser, app: App, make_key: Callable[..., IssuedKey], actor: object
) -> None:
    past = clock.now() - timedelta(days=2)
    make_key("active")
    make_key("expired", now=past, expires_at=past + timedelta(days=1))
    make_key("rotated")
    keys.rotate_key(app_id=app.id, key_id=Key.objects.get(name="rotated").id, actor=actor, now=clock.now())
    keys.revoke_key(app_id=app.id, key_id=make_key("revoked").key.id, actor=actor, now=clock.now())
    client = browser()

    def names(query: str) -> list[str]:
        return sorted(key["name"] for key in data_of(client.get(f"/api-auth/keys{query}")))

    assert names("") == names("?status=active") == ["active", "expired", "rotated"]
    assert names("?status=revoked") == ["revoked", "rotated"]
    assert names("?status=expired") == ["expired"]
    assert (
        names("?status=all")
        == names("?include_inactive=true")
        == ["active", "expired", "revoked", "rotated", "rotated"]
    )
    assert client.get("/api-auth/keys?status=odd").status_code == 400


def test_a_key_is_made_from_a_form_and_its_secret_is_in_that_answer_alone(browser: Browser, app: App) -> None:
    client = browser()
    made = data_of(client.post("/api-auth/keys", "name=%20ci%20&expires_at=2031-04-05T06:07:08Z", content_type=FORM))
    assert (made["name"], made["expires_at"]) == ("ci", "2031-04-05T06:07:08.000000Z")
    assert made["secret"] not in client.get("/api-auth/keys?status=all").content.decode()
    entry = ActivityEntry.objects.get(event="key.created")
    assert (entry.actor_kind, entry.via, entry.personal["name"]) == ("subject", "session_api", "Dana Okafor")


def test_a_key_has_the_permissions_and_addresses_that_the_form_lists(browser: Browser, app: App) -> None:
    form = "name=ci&permissions=routes:read&permissions=routes:write&allowed_cidrs=10.0.0.0/8&note=for%20CI"
    made = data_of(browser().post("/api-auth/keys", form, content_type=FORM))
    assert made["permissions"] == ["routes:read", "routes:write"]
    assert made["allowed_cidrs"] == ["10.0.0.0/8"]
    assert Key.objects.get().note == "for CI"


def test_a_page_hands_out_no_more_than_its_tickets_ceiling(browser: Browser, app: App) -> None:
    client = browser(permissions=["routes:read"])
    for asked, status in (("routes:read", 200), ("routes:write", 403), ("unknown:read", 400)):
        response = client.post("/api-auth/keys", f"name=ci&permissions={asked}", content_type=FORM)
        assert response.status_code == status, asked


def test_a_rotation_overlaps_as_long_as_the_page_says(browser: Browser, make_key: Callable[..., IssuedKey]) -> None:
    client, old = browser(), make_key("ci").key
    data_of(client.post(f"/api-auth/keys/{old.id}/rotate", "overlap_seconds=3600", content_type=FORM))
    old.refresh_from_db()
    assert old.overlap_ends_at is not None
    assert old.overlap_ends_at - Key.objects.get(pk=old.replaced_by_id).created_at == timedelta(hours=1)


def test_a_page_can_send_a_creating_call_again(browser: Browser, app: App) -> None:
    client = browser()
    name = {"Idempotency-Key": "click-1"}
    first = data_of(client.post("/api-auth/keys", "name=ci", content_type=FORM, headers=name))
    again = data_of(client.post("/api-auth/keys", "name=ci", content_type=FORM, headers=name))
    assert again == {**first, "secret": None, "replayed": True}
    other = client.post("/api-auth/keys", "name=other", content_type=FORM, headers=name)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert Key.objects.count() == 1

    new = data_of(client.post(f"/api-auth/keys/{first['id']}/rotate", headers=name))
    assert data_of(client.post(f"/api-auth/keys/{first['id']}/rotate", headers=name))["id"] == new["id"]
    assert Key.objects.count() == 2


def test_two_sessions_may_use_the_same_idempotency_key(browser: Browser, app: App) -> None:
    name = {"Idempotency-Key": "click-1"}
    for client in (browser(), browser()):
        assert "replayed" not in data_of(client.post("/api-auth/keys", "name=ci", content_type=FORM, headers=name))
    assert Key.objects.count() == 2


def test_rotate_and_revoke_go_by_the_clients_own_requests(browser: Browser, make_key: Callable[..., IssuedKey]) -> None:
    client, old = browser(), make_key("ci").key
    new = data_of(client.generic("POST", f"/api-auth/keys/{old.id}/rotate"))
    assert new["id"] != str(old.id)
    assert "secret" in new
    revoked = client.post(f"/api-auth/keys/{new['id']}/revoke", "", content_type=FORM)
    assert data_of(revoked) == {"success": True}
    before = Key.objects.get(pk=new["id"]).revoked_at
    assert data_of(client.post(f"/api-auth/keys/{new['id']}/revoke", "", content_type=FORM)) == {"success": True}
    assert Key.objects.get(pk=new["id"]).revoked_at == before


def test_409_when_a_rotated_key_is_rotated_again(browser: Browser, make_key: Callable[..., IssuedKey]) -> None:
    client, old = browser(), make_key("ci").key
    client.post(f"/api-auth/keys/{old.id}/rotate")
    response = client.post(f"/api-auth/keys/{old.id}/rotate")
    assert (response.status_code, response.json()["errors"][0]["code"]) == (409, "key_not_active")


CHANGES = ("keys", "keys/{key}/rotate", "keys/{key}/revoke")
ROLES = {
    "viewer": (403, 403, 403),
    "member": (200, 200, 403),
    "admin": (200, 200, 200),
    "owner": (200, 200, 200),
}


@pytest.mark.parametrize(("role", "statuses"), ROLES.items(), ids=ROLES)
def test_the_role_decides(
    browser: Browser, make_key: Callable[..., IssuedKey], role: str, statuses: tuple[int, ...]
) -> None:
    client = browser(role=role)
    answered = []
    for change in CHANGES:
        key = make_key("ci").key
        address = f"/api-auth/{change.format(key=key.id)}"
        answered.append(client.post(address, "name=ci", content_type=FORM).status_code)
    assert tuple(answered) == statuses
    assert ActivityEntry.objects.filter(event=Event.SESSION_DENIED).count() == statuses.count(403)


def test_the_ceilings_of_the_ticket_hold(browser: Browser) -> None:
    client = browser(key_cap=1, longest_expiry_days=7)
    assert client.post("/api-auth/keys", "name=ci", content_type=FORM).status_code == 400
    soon = (clock.now() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert client.post("/api-auth/keys", f"name=ci&expires_at={soon}", content_type=FORM).status_code == 200
    assert client.post("/api-auth/keys", f"name=ci&expires_at={soon}", content_type=FORM).status_code == 403


@pytest.mark.parametrize(
    ("policy", "bound", "told", "without"),
    [
        ({}, None, ("optional", None, None), 200),
        ({}, 7, ("mandatory", 7, None), 400),
        ({"mode": "mandatory", "longest_days": 30}, None, ("mandatory", 30, None), 400),
        ({"mode": "mandatory", "longest_days": 30, "default_days": 10}, None, ("mandatory", 30, 10), 200),
        ({"mode": "mandatory", "longest_days": 30, "default_days": 10}, 7, ("mandatory", 7, 7), 200),
    ],
)
def test_the_session_says_when_its_keys_have_to_end_and_the_server_holds_them_to_it(
    browser: Browser,
    app: App,
    policy: dict[str, object],
    bound: int | None,
    told: tuple[str, int | None, int | None],
    without: int,
) -> None:
    App.objects.filter(pk=app.pk).update(policy=read_policy({"expiry": policy}))
    client = browser(longest_expiry_days=bound)
    expiry = data_of(client.get("/api-auth/session"))["key_expiry"]
    assert (expiry["mode"], expiry["longest_days"], expiry["default_days"]) == told
    statuses = [client.post("/api-auth/keys", "name=ci", content_type=FORM).status_code]
    for beyond in (-timedelta(minutes=1), timedelta(minutes=1)):
        end = clock.now() + timedelta(days=told[1] or 3_000) + beyond
        body = f"name=ci&expires_at={end:%Y-%m-%dT%H:%M:%SZ}"
        statuses.append(client.post("/api-auth/keys", body, content_type=FORM).status_code)
    assert statuses == [without, 200, 400 if told[1] else 200]


STRANGERS = ["null", "https://evil.example", "http://127.0.0.1:9001", f"{ORIGIN}.evil.example", f"{ORIGIN}/", "", None]


@pytest.mark.parametrize("origin", STRANGERS)
@pytest.mark.parametrize("change", CHANGES)
def test_403_for_a_change_from_an_origin_that_is_not_listed(
    browser: Browser, make_key: Callable[..., IssuedKey], origin: str | None, change: str
) -> None:
    key = make_key("ci").key
    response = browser(origin=origin).post(f"/api-auth/{change.format(key=key.id)}", "name=x", content_type=FORM)
    assert (response.status_code, response.json()["errors"][0]["code"]) == (403, "origin_not_allowed")
    assert not response.has_header("Access-Control-Allow-Origin")
    assert Key.objects.count() == 1
    key.refresh_from_db()
    assert key.revoked_at is None


@pytest.mark.parametrize("address", ["/deployment", "/api-auth/session", "/api-auth/keys", "/session/ticket/exchange"])
def test_cors_names_the_listed_origin_on_errors_too(browser: Browser, app: App, address: str) -> None:
    for client in (browser(), Client(headers={"Origin": ORIGIN})):
        response = client.get(address)
        assert response["Access-Control-Allow-Origin"] == ORIGIN, response.status_code
        assert response["Access-Control-Allow-Credentials"] == "true"
        assert "Origin" in response["Vary"]
    stranger = Client(headers={"Origin": "https://evil.example"}).get(address)
    assert not stranger.has_header("Access-Control-Allow-Origin")
    assert "Origin" in stranger["Vary"]


def test_the_backend_api_is_open_to_no_page(backend: Client, app: App) -> None:
    response = backend.get("/api-auth/apps", headers={"Origin": ORIGIN})
    assert response.status_code == 200
    assert not response.has_header("Access-Control-Allow-Origin")


def test_signing_out_ends_the_session_and_takes_the_cookie(browser: Browser) -> None:
    client = browser()
    token = client.cookies["ks_session"].value
    response = client.delete("/api-auth/session")
    assert response.json()["data"] == {"success": True}
    assert response.cookies["ks_session"]["max-age"] == 0
    client.cookies["ks_session"] = token
    assert client.get("/api-auth/session").status_code == 401
