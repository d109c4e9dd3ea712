"""Keys in the portal: made, shown once, rotated, revoked; and nothing of another app."""

from datetime import timedelta

import pytest
from django.utils.html import escape

from apiauth.core import clock
from apiauth.core.events import Event
from apiauth.models import ActivityEntry, FormToken, Key
from apiauth.services import apps, keys
from tests.conftest import ACTOR
from tests.portal.conftest import SECRET, hidden_fields

NEW = "/portal/keys/new"


def text_of(response):
    return response.content.decode().replace("&#x27;", "'")


def test_a_key_is_made_and_its_secret_stands_in_one_answer(portal_client, filled, app):
    client = portal_client()
    response = client.post(NEW, filled(client, NEW, name="Billing worker", ends="90", permissions="routes:read"))
    [secret] = set(SECRET.findall(text_of(response)))
    key = Key.objects.get()
    assert (response.status_code, key.permissions, key.key_suffix) == (200, ["routes:read"], secret[-4:])
    for page in ("/portal/keys", f"/portal/keys/{key.pk}", "/portal/", "/portal/activity", "/portal/logs"):
        assert secret not in text_of(client.get(page))
    assert secret not in str(list(ActivityEntry.objects.values()))


def test_the_same_form_sent_twice_makes_one_key(portal_client, filled):
    client = portal_client()
    form = filled(client, NEW, name="Billing worker", ends="never")
    client.post(NEW, form)
    again = client.post(NEW, form)
    assert again.status_code == 409
    assert "This key was already created. Its secret was shown once" in text_of(again)
    assert not SECRET.search(text_of(again))
    assert (Key.objects.count(), FormToken.objects.count()) == (1, 1)


def test_the_page_with_the_secret_is_kept_nowhere(portal_client, filled):
    client = portal_client()
    response = client.post(NEW, filled(client, NEW, name="Billing worker", ends="30"))
    assert response["Cache-Control"] == "no-store, private"
    assert "Set-Cookie" not in response.headers or "nw_live_" not in str(response.cookies)


def test_under_htmx_the_secret_is_a_part(portal_client, filled):
    client = portal_client()
    form = filled(client, NEW, name="Billing worker", ends="30")
    response = client.post(NEW, form, headers={"HX-Request": "true", "HX-Target": "dialog"})
    assert "<html" not in text_of(response)
    assert SECRET.search(text_of(response))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        pytest.param({"name": ""}, "name", id="no name"),
        pytest.param({"name": "   "}, "name", id="only spaces"),
        pytest.param({"name": "\u200b\u200b"}, "name", id="only zero-width"),
        pytest.param({"name": "x" * 101}, "name", id="101 characters"),
        pytest.param({"name": "x" * 10_000}, "name", id="10 000 characters"),
        pytest.param({"name": "a\x00b"}, "name", id="NUL"),
        pytest.param({"name": "abc\u202edef"}, "name", id="right to left override"),
        pytest.param({"ends": ""}, "ends", id="no end"),
        pytest.param({"ends": "1000000000000"}, "ends", id="an end that is not offered"),
        pytest.param({"ends": "date"}, "ends_on", id="no date"),
        pytest.param({"ends": "date", "ends_on": "2001-01-01"}, "ends", id="a date in the past"),
        pytest.param({"ends": "date", "ends_on": "2027-02-31"}, "ends_on", id="31 February"),
        pytest.param({"ends": "date", "ends_on": "9999-12-31"}, "ends", id="the year 9999"),
        pytest.param({"ends": "date", "ends_on": "2027-01-01T00:00+14:00"}, "ends_on", id="a time zone"),
        pytest.param({"permissions": "admin:all"}, "permissions", id="a permission that the app has not"),
        pytest.param({"note": "x" * 501}, "note", id="a long note"),
        pytest.param({"form_token": "short"}, "", id="no proper token"),
        pytest.param({"form_token": "x" * 300}, "form_token", id="an over-long token"),
    ],
)
def test_422_with_the_sentence_and_what_was_typed(portal_client, filled, fields, field):
    client = portal_client()
    form = filled(client, NEW, **{"name": "Kept name", "ends": "90", **fields})
    response = client.post(NEW, form)
    assert response.status_code == 422
    assert 'role="alert"' in text_of(response)
    assert f'href="#field-{field}"' in text_of(response) if field else True
    assert "Kept name" in text_of(response) or "name" in fields
    assert Key.objects.count() == 0


@pytest.mark.parametrize(
    "name",
    [
        "<img src=x onerror=alert(1)>",
        "{{7*7}}{% debug %}",
        "=HYPERLINK(1)",
        "👩‍👩‍👧‍👦 family",
        "'; DROP TABLE apiauth_key; --",
    ],
)
def test_any_visible_name_is_shown_as_it_was_typed(portal_client, filled, name):
    client = portal_client()
    client.post(NEW, filled(client, NEW, name=name, ends="30"))
    assert Key.objects.get().name == name
    assert f">{escape(name)}</a>" in client.get("/portal/keys").content.decode()


def test_more_fields_than_a_form_has_are_a_400(portal_client, filled):
    client = portal_client()
    form = filled(client, NEW, name="x", ends="30") | {f"f{number}": "x" for number in range(1001)}
    assert client.post(NEW, form).status_code == 400


def test_a_file_in_place_of_a_text_is_a_missing_text(portal_client, filled):
    from django.core.files.uploadedfile import SimpleUploadedFile

    client = portal_client()
    form = filled(client, NEW, ends="30") | {"name": SimpleUploadedFile("a.txt", b"x")}
    assert client.post(NEW, form).status_code == 422


def test_a_session_offers_and_allows_no_more_than_its_ticket(portal_client, filled):
    client = portal_client(permissions=["routes:read"], longest_expiry_days=30)
    html = text_of(client.get(NEW))
    assert "routes:write" not in html
    assert 'value="90"' not in html
    form = filled(client, NEW, name="x", ends="date", ends_on=str((clock.now() + timedelta(days=40)).date()))
    assert client.post(NEW, form).status_code == 422
    assert Key.objects.count() == 0


def test_the_cap_on_keys_is_said_in_the_form(portal_client, filled, make_key):
    make_key()
    client = portal_client(key_cap=1)
    response = client.post(NEW, filled(client, NEW, name="second", ends="30"))
    assert response.status_code == 422
    assert "reached your limit of 1 active key" in text_of(response)


def test_rotation_shows_the_new_secret_and_keeps_the_old_one_for_its_overlap(portal_client, filled, make_key):
    old, client = make_key().key, portal_client()
    address = f"/portal/keys/{old.pk}/rotate"
    response = client.post(address, filled(client, address, overlap="86400"))
    old.refresh_from_db()
    assert SECRET.search(text_of(response))
    assert old.replaced_by.key_suffix in text_of(response)
    assert "keeps working until" in text_of(response)
    page = text_of(client.get("/portal/keys"))
    assert "In grace, 23 h left" in page
    assert "End grace now" in page


def test_a_rotation_sent_twice_makes_one_new_key(portal_client, filled, make_key):
    old, client = make_key().key, portal_client()
    address = f"/portal/keys/{old.pk}/rotate"
    form = filled(client, address, overlap="0")
    client.post(address, form)
    assert client.post(address, form).status_code == 409
    assert Key.objects.count() == 2


@pytest.mark.parametrize("overlap", ["", "-1", "1", "2592001", "abc", "٣"])
def test_422_for_an_overlap_that_is_not_offered(portal_client, filled, make_key, overlap):
    key, client = make_key().key, portal_client()
    address = f"/portal/keys/{key.pk}/rotate"
    assert client.post(address, filled(client, address, overlap=overlap)).status_code == 422


def test_the_end_of_the_key_itself_bounds_the_overlap_in_words(portal_client, make_key):
    key = make_key(expires_at=clock.now() + timedelta(days=3)).key
    html = text_of(portal_client().get(f"/portal/keys/{key.pk}/rotate"))
    assert html.count("so the old secret can't last longer") == 2


def test_the_grace_of_an_old_secret_ends_by_a_button(portal_client, filled, make_key, app):
    old = make_key().key
    keys.rotate_key(app_id=app.pk, key_id=old.pk, overlap=timedelta(hours=1), actor=ACTOR, now=clock.now())
    client = portal_client()
    form = hidden_fields(client.get("/portal/keys").content.decode())
    response = client.post(f"/portal/keys/{old.pk}/end-overlap", form)
    assert response.status_code == 303
    assert "no longer works" in text_of(client.get(response.url))
    assert client.post(f"/portal/keys/{old.pk}/end-overlap", form).status_code == 409


def test_revoking_asks_first_and_says_what_it_breaks(portal_client, make_key, count_calls, use_key):
    key = make_key().key
    count_calls(key.pk, 1204)
    use_key(key.pk)
    html = text_of(portal_client().get(f"/portal/keys/{key.pk}/revoke"))
    assert "In use within the last day." in html
    assert "<b>1,204</b> calls" in html
    assert "autofocus>Keep key" in html


def test_a_key_in_use_is_revoked_only_where_its_name_is_typed(portal_client, filled, make_key, use_key):
    key, client = make_key("Billing  worker").key, portal_client()
    use_key(key.pk)
    address = f"/portal/keys/{key.pk}/revoke"
    for wrong in ({}, {"typed_name": "billing worker"}):
        answer = client.post(address, filled(client, address, reason="Leaked", details="in a log", **wrong))
        assert answer.status_code == 422
        assert "This key is in use. To revoke it, type its name: Billing" in text_of(answer)
        assert 'href="#field-typed_name"' in text_of(answer)
        assert 'value="in a log"' in text_of(answer)
        assert Key.objects.get().revoked_at is None
    right = filled(client, address, typed_name=" Billing worker ")
    assert client.post(address, right).status_code == 303
    assert Key.objects.get().revoked_at is not None


def test_a_key_whose_old_secret_is_in_use_is_in_use(portal_client, filled, make_key, use_key, app):
    old = make_key().key
    issued = keys.rotate_key(app_id=app.pk, key_id=old.pk, overlap=timedelta(hours=1), actor=ACTOR, now=clock.now())
    use_key(old.pk)
    client, address = portal_client(), f"/portal/keys/{issued.key.pk}/revoke"
    assert client.post(address, filled(client, address, old_too="yes")).status_code == 422
    assert not Key.objects.exclude(revoked_at=None).exists()


@pytest.fixture
def rotated(make_key, app):
    """A key that was just rotated, and the old one, whose secret still works."""
    old = make_key().key
    issued = keys.rotate_key(app_id=app.pk, key_id=old.pk, overlap=timedelta(days=3), actor=ACTOR, now=clock.now())
    return issued.key, old


def test_a_revoke_is_not_called_safe_while_the_old_secret_that_it_ends_is_called(
    portal_client, rotated, make_decision, count_calls, use_key
):
    key, old = rotated
    for _ in range(5):
        make_decision(key_id=old.pk)
    count_calls(old.pk, 5)
    use_key(old.pk, at=clock.now() - timedelta(minutes=3))
    html = text_of(portal_client().get(f"/portal/keys/{key.pk}/revoke"))
    assert "Safe to revoke" not in html
    assert f"In use: the old secret (…{old.key_suffix}) is still called, last 3 min ago. Stopping it too breaks" in html
    assert "this key with its old secret made <b>5</b> calls. Last call <time" in html
    assert "This would have blocked all 5 calls from 1 address, the last one 1 min ago." in html


def test_what_a_revoke_breaks_is_that_of_both_secrets_together(
    portal_client, rotated, make_decision, count_calls, use_key
):
    key, old = rotated
    for each, address in ((key, "203.0.113.24"), (old, "203.0.113.24"), (old, "192.0.2.88")):
        make_decision(key_id=each.pk, client_ip=address)
    count_calls(key.pk, 1)
    count_calls(old.pk, 2)
    count_calls(old.pk, 4, rule="permission_denied")
    use_key(key.pk)
    use_key(old.pk, at=clock.now() - timedelta(hours=2))
    html = text_of(portal_client().get(f"/portal/keys/{key.pk}/revoke"))
    assert "In use within the last day. Revoking breaks its callers within about a second." in html
    assert f"And the old secret (…{old.key_suffix}) is still called, last 2 h ago." in html
    assert "made <b>7</b> calls, 4 of them blocked." in html
    assert "This would have blocked all 3 calls from 2 addresses" in html
    assert '<code>203.0.113.24</code><span class="num">2</span>' in html
    assert '<code>GET /v2/routes</code><span class="num">3</span>' in html


def test_an_old_secret_that_nobody_calls_any_more_is_told_by_its_last_call(portal_client, rotated, use_key):
    key, old = rotated
    use_key(old.pk, at=clock.now() - timedelta(hours=30))
    html = text_of(portal_client().get(f"/portal/keys/{key.pk}/revoke"))
    assert f"Quiet: last call with the old secret (…{old.key_suffix}) 1 day ago." in html


def test_of_an_old_secret_that_has_ended_a_revoke_breaks_nothing(
    portal_client, rotated, make_decision, count_calls, use_key, app
):
    key, old = rotated
    make_decision(key_id=old.pk)
    count_calls(old.pk, 1)
    use_key(old.pk)
    keys.revoke_key(app_id=app.pk, key_id=old.pk, actor=ACTOR, now=clock.now())
    html = text_of(portal_client().get(f"/portal/keys/{key.pk}/revoke"))
    assert "Never used. Safe to revoke." in html
    assert "this key made <b>0</b> calls." in html


@pytest.mark.parametrize(("ticked", "shown"), [({"old_too": "yes"}, True), ({}, False)], ids=["ticked", "not"])
def test_a_form_that_is_shown_again_ends_the_old_secret_only_where_it_was_to(
    portal_client, filled, rotated, use_key, ticked, shown
):
    key, _ = rotated
    use_key(key.pk)
    client, address = portal_client(), f"/portal/keys/{key.pk}/revoke"
    answer = client.post(address, filled(client, address, typed_name="mistyped", **ticked))
    assert answer.status_code == 422
    assert ('name="old_too" value="yes" checked' in text_of(answer)) == shown


@pytest.mark.parametrize("state", ["quiet for a day", "disabled", "never used"])
def test_nobody_types_the_name_of_a_key_that_is_not_in_use(portal_client, filled, make_key, use_key, app, state):
    key, client = make_key().key, portal_client()
    if state != "never used":
        use_key(key.pk, at=clock.now() - timedelta(hours=25 if state == "quiet for a day" else 1))
    if state == "disabled":
        keys.disable_key(app_id=app.pk, key_id=key.pk, actor=ACTOR, now=clock.now())
    address = f"/portal/keys/{key.pk}/revoke"
    html = text_of(client.get(address))
    assert "typed_name" not in html
    assert ("Its calls are blocked already" in html) == (state == "disabled")
    assert client.post(address, filled(client, address)).status_code == 303


def test_a_revoked_key_says_so_and_keeps_the_reason(portal_client, filled, make_key):
    key, client = make_key().key, portal_client()
    address = f"/portal/keys/{key.pk}/revoke"
    response = client.post(address, filled(client, address, reason="Leaked", details="in a log"))
    key.refresh_from_db()
    assert (response.status_code, key.revoked_reason) == (303, "Leaked: in a log")
    assert "Billing worker is revoked." in text_of(client.get(response.url))


def test_revoking_takes_the_old_secret_along_when_ticked(portal_client, filled, make_key, app):
    old = make_key().key
    issued = keys.rotate_key(app_id=app.pk, key_id=old.pk, overlap=timedelta(hours=1), actor=ACTOR, now=clock.now())
    client = portal_client()
    address = f"/portal/keys/{issued.key.pk}/revoke"
    client.post(address, filled(client, address, reason="Leaked", old_too="yes"))
    assert not Key.objects.filter(revoked_at=None).exists()


def test_revoking_twice_and_rotating_a_revoked_key_are_refused_kindly(portal_client, filled, make_key, app):
    key, client = make_key().key, portal_client()
    revoke, rotate = f"/portal/keys/{key.pk}/revoke", f"/portal/keys/{key.pk}/rotate"
    revoking, rotating = filled(client, revoke, reason="Other"), filled(client, rotate, overlap="0")
    client.post(revoke, revoking)
    assert client.post(revoke, revoking).status_code == 409
    assert client.post(rotate, rotating).status_code == 409
    assert client.get(rotate).status_code == 409
    assert client.get(revoke).status_code == 303


@pytest.mark.parametrize("path", ["", "/rotate", "/revoke", "/disable", "/enable", "/edit", "/change-overlap"])
def test_404_for_a_strangers_key_is_the_404_for_no_key(portal_client, make_app, make_key, path):
    other = make_app("aa_2", key_prefix="cb")
    foreign, client = make_key(in_app=other).key, portal_client()
    answers = [client.get(f"/portal/keys/{key_id}{path}") for key_id in (foreign.pk, 1, "abc", "9" * 30, "٣", "-1")]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize(
    "path", ["rotate", "revoke", "end-overlap", "change-overlap", "undo-revoke", "disable", "enable", "edit"]
)
def test_a_strangers_key_cannot_be_changed(portal_client, session_for, make_app, make_key, path):
    from django.test import Client

    foreign = make_key(in_app=make_app("aa_2", key_prefix="cb")).key
    opened, client = session_for(), Client()
    client.cookies["ks_session"] = opened.token
    form = {"session": str(opened.session.pk), "overlap": "0", "reason": "Leaked", "form_token": "x" * 40}
    assert client.post(f"/portal/keys/{foreign.pk}/{path}", form).status_code == 404
    before = foreign.updated_at
    foreign.refresh_from_db()
    assert foreign.updated_at == before


@pytest.mark.parametrize(
    ("role", "action", "status"),
    [
        ("viewer", "new", 403),
        ("viewer", "rotate", 403),
        ("viewer", "revoke", 403),
        ("member", "new", 200),
        ("member", "rotate", 200),
        ("member", "revoke", 403),
        ("admin", "revoke", 200),
        ("owner", "revoke", 200),
    ],
)
def test_a_role_reaches_what_it_may_and_no_more(portal_client, make_key, role, action, status):
    client, key = portal_client(role=role), make_key().key
    address = NEW if action == "new" else f"/portal/keys/{key.pk}/{action}"
    assert client.get(address).status_code == status


def test_a_viewer_sees_no_buttons_and_is_told_whom_to_ask(portal_client, make_key):
    make_key()
    html = text_of(portal_client(role="viewer").get("/portal/keys"))
    assert "You have view access. Ask an owner" in html
    assert "Create key" not in html
    assert ">Rotate" not in html


def test_a_viewers_post_changes_nothing(portal_client, make_key):
    key, client = make_key().key, portal_client(role="viewer")
    form = hidden_fields(client.get("/portal/keys").content.decode()) | {"reason": "Leaked"}
    response = client.post(f"/portal/keys/{key.pk}/revoke", form)
    key.refresh_from_db()
    assert (response.status_code, key.revoked_at) == (403, None)
    denied = ActivityEntry.objects.filter(event=Event.SESSION_DENIED)
    assert [entry.details["action"] for entry in denied] == ["revoke_own"]


def test_a_tab_of_another_session_changes_nothing(portal_client, make_key):
    key, client = make_key().key, portal_client()
    address = f"/portal/keys/{key.pk}/revoke"
    old = hidden_fields(client.get(address).content.decode())
    response = portal_client().post(address, old | {"reason": "Leaked"})
    key.refresh_from_db()
    assert (response.status_code, key.revoked_at) == (409, None)
    assert "another session" in text_of(response)


def test_a_post_without_its_token_is_refused(portal_client, make_key):
    key, client = make_key().key, portal_client(csrf=True)
    form = hidden_fields(client.get(f"/portal/keys/{key.pk}/revoke").content.decode())
    del form["csrfmiddlewaretoken"]
    assert client.post(f"/portal/keys/{key.pk}/revoke", form).status_code == 403
    forged = form | {"csrfmiddlewaretoken": "a" * 64}
    assert client.post(f"/portal/keys/{key.pk}/revoke", forged).status_code == 403


def test_a_pasted_secret_leaves_the_address_at_once(portal_client, make_key):
    client, text = portal_client(), make_key().secret.text
    response = client.get("/portal/keys", {"q": f" {text} "})
    assert response.status_code == 303
    assert text not in response.url
    page = client.get(response.url)
    assert "Paste only the last 4 characters" in text_of(page)
    assert text not in text_of(page)


@pytest.mark.parametrize("query", ["\x00", "%", "_", "\u202e", "'\"<", "x" * 5000, "\\"])
def test_odd_searches_find_nothing_and_break_nothing(portal_client, make_key, query):
    make_key()
    response = portal_client().get("/portal/keys", {"q": query, "status": query, "after": query})
    assert response.status_code == 200


def test_keys_are_found_by_name_and_by_last_four(portal_client, make_key):
    first, second = make_key("Billing worker").key, make_key("Checkout").key
    client = portal_client()
    for query in ("bill", first.key_suffix):
        html = text_of(client.get("/portal/keys", {"q": query}))
        assert f'id="key-{first.pk}"' in html
        assert f'id="key-{second.pk}"' not in html


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("all", {"active", "ending", "ended", "grace"}),
        ("active", {"active", "ending", "grace"}),
        ("ending", {"ending", "grace"}),
        ("ended", {"ended"}),
    ],
)
def test_the_status_filter_shows_what_it_says(portal_client, make_key, app, status, shown):
    now = clock.now()
    made = {
        "active": make_key("active").key,
        "ending": make_key("ending", expires_at=now + timedelta(days=3)).key,
        "ended": make_key("ended").key,
        "grace": make_key("grace").key,
    }
    keys.revoke_key(app_id=app.pk, key_id=made["ended"].pk, actor=ACTOR, now=now)
    keys.rotate_key(app_id=app.pk, key_id=made["grace"].pk, overlap=timedelta(hours=5), actor=ACTOR, now=now)
    html = text_of(portal_client().get("/portal/keys", {"status": status}))
    names = {name for name in made if f">{name}</a>" in html}
    assert names == shown
    assert "All <i>4</i>" in html
    assert "Ending <i>2</i>" in html


def test_a_long_list_comes_in_pages_of_fifty(portal_client, make_key):
    for number in range(53):
        make_key(f"key {number}")
    client = portal_client()
    first = text_of(client.get("/portal/keys"))
    older = first.split('href="?after=')[1].split('"')[0]
    second = text_of(client.get("/portal/keys", {"after": older}))
    assert (first.count('<tr role="row" id='), second.count('<tr role="row" id=')) == (50, 3)


def test_the_list_takes_at_most_six_queries(portal_client, make_key, django_assert_max_num_queries):
    for number in range(10):
        make_key(f"key {number}")
    client = portal_client()
    with django_assert_max_num_queries(6):
        client.get("/portal/keys")


def test_without_keys_the_list_says_what_a_key_is(portal_client):
    html = text_of(portal_client().get("/portal/keys"))
    assert "No keys yet" in html
    assert "Create key" in html


def test_a_paused_app_shows_its_keys_and_changes_none(portal_client, make_key, app):
    key, client = make_key().key, portal_client()
    form = hidden_fields(client.get("/portal/keys").content.decode())
    apps.disable_app(deployment_id=app.deployment_id, slug=app.slug, reason="x", actor=ACTOR, now=clock.now())
    assert "is paused." in text_of(client.get("/portal/keys"))
    assert client.post(f"/portal/keys/{key.pk}/revoke", form | {"reason": "Other"}).status_code == 403


@pytest.mark.parametrize(("prefix", "is_test"), [("nw_test", True), ("nw_live", False)])
def test_the_pages_of_a_test_environment_say_so(portal_client, make_app, make_key, prefix, is_test):
    app = make_app("aa_9", key_prefix=prefix)
    key = make_key(in_app=app).key
    page = portal_client(app).get(f"/portal/keys/{key.pk}").content.decode()
    assert ("<small>Test · " in page, "Test key" in page) == (is_test, is_test)


@pytest.fixture
def page_of(portal_client, filled, make_key, app):
    """Return what opens each form of a key, as a page or, with htmx's headers, as the part of a dialog."""
    client, about = portal_client(), {"app_id": app.pk, "actor": ACTOR}
    key, old, off = make_key(permissions=["routes:read"]).key, make_key().key, make_key().key
    keys.rotate_key(key_id=old.pk, overlap=timedelta(hours=1), now=clock.now(), **about)
    keys.disable_key(key_id=off.pk, now=clock.now(), **about)
    subjects = {"enable": off, "change-overlap": old}

    def open_form(form, **headers):
        if form == "new":
            return text_of(client.get(NEW, headers=headers))
        address = f"/portal/keys/{subjects.get(form, key).pk}/{form.removesuffix(' review')}"
        if form != "edit review":
            return text_of(client.get(address, headers=headers))
        sent = {"name": key.name, "ends": "keep", "seen": key.updated_at.isoformat(), "permissions": "routes:write"}
        return text_of(client.post(address, filled(client, address, **sent), headers=headers))

    return open_form


@pytest.mark.parametrize(
    "form", ["new", "rotate", "revoke", "disable", "enable", "edit", "edit review", "change-overlap"]
)
def test_a_form_on_its_own_page_is_sent_by_the_browser_and_one_in_a_dialog_by_htmx(page_of, form):
    before, *forms = page_of(form).split('<main class="main"')[1].split("<form ")
    assert before.rstrip().endswith("hx-disable>")
    assert ["hx-post=" in each for each in forms] == [True]
    in_dialog = page_of(form, **{"HX-Request": "true", "HX-Target": "dialog"})
    assert 'hx-target="#dialog"' in in_dialog
    assert "hx-disable>" not in in_dialog
