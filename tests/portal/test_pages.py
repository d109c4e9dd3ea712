"""What holds on every page, and what the pages that only show something say."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings

from apiauth.core import clock
from apiauth.core.decision import Rule
from apiauth.models import Key
from apiauth.services import limits
from tests.conftest import ACTOR
from tests.portal.conftest import hidden_fields

PAGES = [
    "/portal/",
    "/portal/?range=24h",
    "/portal/?range=30d",
    "/portal/?range=<script>",
    "/portal/keys",
    "/portal/keys/new",
    "/portal/logs",
    "/portal/activity",
    "/portal/keys/1",
    "/portal/logs/req_0",
    "/portal/nothing",
    "/portal/expired",
    "/vanity/api-auth",
]
INLINE = re.compile(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|javascript:|hx-on")


def text_of(response):
    return response.content.decode().replace("&#x27;", "'")


@pytest.mark.parametrize("address", PAGES)
def test_no_page_has_inline_script_or_style_and_all_forbid_it(portal_client, make_key, address):
    make_key()
    response = portal_client().get(address)
    assert not INLINE.search(text_of(response))
    policy = response["Content-Security-Policy"].split("; ")  # in no order that can be relied on
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert not any("unsafe" in directive for directive in policy)


@pytest.mark.parametrize("address", PAGES)
def test_no_page_is_kept_by_a_cache_and_no_referrer_leaves_it(portal_client, address):
    response = portal_client().get(address)
    assert response["Cache-Control"] == "no-store, private"
    assert {"HX-Request", "HX-Target", "Cookie"} <= {name.strip() for name in response["Vary"].split(",")}
    assert response["Referrer-Policy"] == "no-referrer"
    assert response["X-Frame-Options"] == "DENY"


def test_no_template_switches_escaping_off_or_carries_style_or_script():
    for path in Path(settings.BASE_DIR, "templates", "portal").rglob("*.html"):
        text = path.read_text()
        assert not INLINE.search(text), path
        assert not re.search(r"\|\s*safe\b|autoescape|mark_safe", text), path


def test_every_part_is_included_with_its_own_inputs_alone():
    for path in Path(settings.BASE_DIR, "templates", "portal").rglob("*.html"):
        for tag in re.findall(r"{% include [^%]+%}", path.read_text()):
            assert tag.endswith(" only %}"), (path, tag)


def test_the_script_and_the_sheets_stay_small():
    folder = Path(settings.BASE_DIR, "static", "portal")
    assert (folder / "portal.js").stat().st_size <= 4096
    import gzip

    sheets = b"".join((folder / name).read_bytes() for name in ("tokens.css", "theme.css", "portal.css"))
    assert len(gzip.compress(sheets)) <= 9000


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("/portal/keys", "keys"),
        ("/portal/keys/new", "dialog"),
        ("/portal/", "overview"),
        ("/portal/logs", "log"),
        ("/portal/activity", "activity"),
        ("/portal/compliance", "compliance"),
    ],
)
def test_htmx_gets_the_part_and_everybody_else_the_page(portal_client, address, part):
    client = portal_client()
    asked = {"HX-Request": "true", "HX-Target": part}
    assert "<html" not in text_of(client.get(address, headers=asked))
    assert "<html" in text_of(client.get(address))
    assert "<html" in text_of(client.get(address, headers=asked | {"HX-History-Restore-Request": "true"}))
    assert "<html" in text_of(client.get(address, headers={"HX-Request": "true", "HX-Target": "<b>"}))


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_405_says_what_an_address_takes(portal_client, method):
    response = getattr(portal_client(), method)("/portal/activity")
    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")
    assert "<h1>" in text_of(response)


def test_head_answers_like_get_without_a_body(portal_client):
    response = portal_client().head("/portal/keys")
    assert (response.status_code, response.content) == (200, b"")


def test_the_overview_shows_totals_reasons_and_what_needs_attention(portal_client, make_key, count_calls):
    ending = make_key("Billing worker", expires_at=clock.now() + timedelta(days=3, hours=-1)).key
    count_calls(ending.pk, 1_200)
    count_calls(ending.pk, 30, rule="rate_limited")
    html = text_of(portal_client().get("/portal/"))
    assert "<dd>1,200</dd>" in html
    assert "Too many requests" in html
    assert "outcome=blocked&amp;rule=rate_limited&amp;range=7d" in html
    assert "Billing worker expires in 3 days" in html
    assert "1,000 per minute, over all keys together" in html


def test_the_overview_writes_the_apps_own_limits_in_words(portal_client, app):
    scheme = limits.create_scheme(
        deployment_id=app.deployment_id,
        slug="free",
        name="Free plan",
        rules=[{"unit": "minute", "duration": 1, "max_requests": 60, "mode": "per_key"}],
        actor=ACTOR,
        now=clock.now(),
    )
    type(app).objects.filter(pk=app.pk).update(rate_limit_scheme=scheme)
    html = text_of(portal_client().get("/portal/"))
    assert "60 per minute, per key" in html
    assert "Free plan" in html


def test_without_keys_the_overview_leads_to_the_first_one(portal_client):
    assert "Create your first key" in text_of(portal_client().get("/portal/"))


def test_the_overview_takes_few_queries(portal_client, make_key, django_assert_max_num_queries):
    make_key()
    client = portal_client()
    with django_assert_max_num_queries(6):
        client.get("/portal/")


def test_the_log_lists_calls_and_each_leads_to_its_reason(portal_client, make_decision, make_key):
    key = make_key().key
    row = make_decision(rule="permission_denied", key_id=key.pk, key_name=key.name)
    html = text_of(portal_client().get("/portal/logs"))
    assert f'href="/portal/logs/{row}"' in html
    assert "Missing permission" in html


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"outcome": "allowed"}, 1),
        ({"outcome": "blocked"}, 2),
        ({"rule": "key_expired"}, 1),
        ({"method": "POST"}, 1),
        ({"path": "/v3"}, 1),
        ({"address": "198.51.100.7"}, 1),
        ({"range": "1h"}, 3),
        ({"key": "77"}, 0),
    ],
)
def test_the_filters_of_the_log_stand_in_its_address(portal_client, make_decision, query, found):
    make_decision()
    make_decision(rule="key_expired", method="POST")
    make_decision(rule="rate_limited", path="/v3/a", client_ip="198.51.100.7")
    html = text_of(portal_client().get("/portal/logs", query))
    assert html.count("l-time") == found


@pytest.mark.parametrize(
    "query",
    [
        {"outcome": "maybe"},
        {"rule": "no_rule"},
        {"key": "abc"},
        {"address": "999.1.1.1"},
        {"address": "fe80::1%eth0"},
        {"range": "9y"},
        {"cursor": "forged"},
        {"cursor": "'; DROP TABLE x; --"},
        {"request_id": "req_short"},
    ],
)
def test_a_filter_that_is_none_is_a_400_with_a_sentence(portal_client, query):
    response = portal_client().get("/portal/logs", query)
    assert response.status_code == 400
    assert "<h1>" in text_of(response)


@pytest.mark.parametrize("text", ["\x00", "\u202e", "%00", "٣", "x" * 3000, "<b>", "'\""])
def test_odd_text_in_any_filter_is_never_a_500(portal_client, text):
    names = ("outcome", "rule", "key", "method", "path", "address", "range", "request_id", "cursor", "since")
    client = portal_client()
    for name in names:
        assert client.get("/portal/logs", {name: text}).status_code in (200, 400)
    assert client.get("/portal/activity", {"before": text}).status_code == 200


def test_the_log_goes_on_to_older_pages(portal_client, make_decision):
    for second in range(53):
        make_decision(at=clock.now() - timedelta(seconds=second + 60))
    client = portal_client()
    first = text_of(client.get("/portal/logs", {"outcome": "allowed"}))
    older = re.search(r'href="(/portal/logs\?[^"]*cursor=[^"]+)"', first)
    second = text_of(client.get(older[1].replace("&amp;", "&")))
    assert (first.count("l-time"), second.count("l-time")) == (50, 3)


def test_a_request_id_leads_straight_to_its_decision(portal_client, make_decision):
    row = make_decision()
    response = portal_client().get("/portal/logs", {"request_id": f" {row} "})
    assert (response.status_code, response.url) == (303, f"/portal/logs/{row}")


@pytest.mark.parametrize("rule", [None, *Rule])
def test_every_rule_has_a_page_that_says_why_and_what_to_do(portal_client, make_decision, make_key, rule):
    key = make_key().key
    row = make_decision(
        rule=rule,
        key_id=key.pk,
        key_name=key.name,
        blocked_by="100/60s" if rule == "rate_limited" else rule,
        retry_after=23 if rule == "rate_limited" else None,
        required_permissions=["routes:write"],
        held_permissions=["routes:read"],
    )
    html = text_of(portal_client().get(f"/portal/logs/{row}"))
    assert "What happened" in html
    assert "What to do" in html
    assert html.count('<li class="bad">') == (0 if rule is None else 1)
    assert html.count('<li class="ok">') + html.count('<li class="">') == (11 if rule is None else 10)


def test_a_rule_of_a_later_version_is_shown_by_its_name(portal_client, make_decision):
    row = make_decision(rule="brand_new_rule")
    assert "brand_new_rule" in text_of(portal_client().get(f"/portal/logs/{row}"))


@pytest.mark.parametrize("request_id", ["req_0", "req_" + "f" * 32, "req_" + "0" * 32, "x", "\u202e", "a" * 400])
def test_404_for_a_decision_that_the_app_has_not(portal_client, request_id):
    response = portal_client().get(f"/portal/logs/{request_id}")
    assert response.status_code == 404
    assert "up to 5 seconds" in text_of(response)


def test_a_strangers_decision_is_the_404_of_none(portal_client, make_decision):
    row = make_decision(app_id=77)
    client = portal_client()
    stranger, absent = client.get(f"/portal/logs/{row}"), client.get("/portal/logs/req_" + "0" * 32)
    assert (stranger.status_code, stranger.content) == (404, absent.content)


def test_the_activity_says_who_did_what(portal_client, filled):
    client = portal_client()
    form = filled(client, "/portal/keys/new", name="Billing worker", ends="30")
    client.post("/portal/keys/new", form)
    html = text_of(client.get("/portal/activity"))
    assert "<b>Dana Okafor</b> created" in html
    assert "<i>Billing worker</i>" in html
    assert "opened these pages" in html


def test_the_activity_has_pages(portal_client, make_key):
    for number in range(55):
        make_key(f"key {number}")
    client = portal_client()
    first = text_of(client.get("/portal/activity"))
    older = re.search(r"before=(\d+)", first)[1]
    second = text_of(client.get("/portal/activity", {"before": older}))
    assert first.count("<li>") == 50
    assert 0 < second.count("<li>") < 50


def test_a_key_page_shows_its_facts_calls_and_history(portal_client, make_key, make_decision, use_key, count_calls):
    key = make_key(note="On the old server", permissions=["routes:read"]).key
    use_key(key.pk)
    count_calls(key.pk, 12)
    make_decision(key_id=key.pk, key_name=key.name)
    html = text_of(portal_client().get(f"/portal/keys/{key.pk}"))
    for expected in ("On the old server", "routes:read", "203.0.113.24", "/v2/routes", "created", "Show as a table"):
        assert expected in html


def test_an_old_secret_leads_to_the_key_in_its_place(portal_client, make_key, app):
    from apiauth.services import keys

    old = make_key().key
    keys.rotate_key(app_id=app.pk, key_id=old.pk, overlap=timedelta(hours=1), actor=ACTOR, now=clock.now())
    html = text_of(portal_client().get(f"/portal/keys/{old.pk}"))
    newest = Key.objects.get(replaced_by=None)
    assert f'href="/portal/keys/{newest.pk}"' in html
    assert "Rotate key" not in html


def test_the_sentences_of_an_error_reach_htmx_as_a_part(portal_client):
    response = portal_client().get("/portal/keys/1/rotate", headers={"HX-Request": "true", "HX-Target": "dialog"})
    assert response.status_code == 404
    assert "<html" not in text_of(response)
    assert "This key doesn't exist" in text_of(response)


def test_a_call_that_is_not_in_the_log_yet_can_be_looked_up_again(portal_client):
    response = portal_client().get("/portal/logs/req_" + "0" * 32)
    assert response.status_code == 404
    assert "can take up to 5 seconds to appear" in text_of(response)
    assert 'href="?">Check again</a>' in response.content.decode()
    assert 'href="/portal/logs">Go to logs</a>' in response.content.decode()


def test_a_session_that_lost_its_cookie_token_changes_nothing(client, portal_client, make_key):
    key = make_key().key
    form = hidden_fields(portal_client().get("/portal/keys/new").content.decode())
    response = client.post(f"/portal/keys/{key.pk}/revoke", form)
    key.refresh_from_db()
    assert (response.status_code, key.revoked_at) == (303, None)


def test_an_address_that_does_not_exist_has_the_portals_look(client, db):
    response = client.get("/portal/nothing")
    assert response.status_code == 404
    assert "<h1>Not found</h1>" in text_of(response)


def test_a_defect_is_a_page_that_gives_nothing_away(portal_client, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("SELECT secret FROM apiauth_key")

    client = portal_client()
    client.raise_request_exception = False
    monkeypatch.setattr("portal.overview_page.contents", fail)
    response = client.get("/portal/")
    assert response.status_code == 500
    assert "<h1>Something went wrong</h1>" in text_of(response)
    assert "SELECT" not in text_of(response)


def test_a_database_that_is_gone_is_a_503(portal_client, monkeypatch):
    from django.db import OperationalError

    def fail(*args, **kwargs):
        raise OperationalError("connection refused")

    client = portal_client()
    monkeypatch.setattr("portal.overview_page.contents", fail)
    response = client.get("/portal/")
    assert response.status_code == 503
    assert "refused" not in text_of(response)


def test_a_log_page_that_found_nothing_yet_leads_further_back(portal_client, make_decision, monkeypatch):
    monkeypatch.setattr("apiauth.audit.search.LOOKED_THROUGH", 2)
    make_decision(path="/v2/rare", at=clock.now() - timedelta(minutes=9))
    a_minute_ago = clock.now() - timedelta(minutes=1)
    for _ in range(2):
        make_decision(at=a_minute_ago)  # as many in one moment as a page looks at
    client = portal_client()
    first = client.get("/portal/logs?path=/v2/rare").content.decode()
    assert "Nothing matches among the newest calls" in first
    further = re.search(r'href="([^"]+)">Look further back', first)[1]
    assert "/v2/rare</code>" in client.get(further.replace("&amp;", "&")).content.decode()
