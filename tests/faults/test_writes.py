"""The database goes while Keystead writes: a 503 soon, and nothing that is there by half."""

import json
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from typing import NamedTuple
from urllib.parse import urlencode

import pytest
from django.apps import apps as django_apps

from apiauth.core.events import Event
from apiauth.management import static_files
from apiauth.models import ActivityEntry, Key, Session, Ticket
from config.processes import WEB_THREADS
from tests.support.database import dsn
from tests.support.proxy import FreezingProxy
from tests.support.running import until
from tests.support.web import web_process

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes, pytest.mark.timeout(120)]

AT_MOST_SECONDS = 5
"""Two for a connection that is waited for in vain, and as much for a machine that does much else."""
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ENTRY = "/vanity/api-auth"
TOKEN = re.compile(rb'name="csrfmiddlewaretoken" value="([^"]+)"')


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


@pytest.fixture
def proxy(transactional_db):
    with closing(FreezingProxy(dsn())) as proxy:
        yield proxy


@pytest.fixture
def web(proxy):
    """A web process over the way to the database that can be cut; it has its pages' files."""
    static_files.collect()
    with web_process(proxy.url) as web:
        yield web


@pytest.fixture
def authority(backend_key):
    return {"Authorization": f"Bearer {backend_key.secret.text}"}


def send(web, method, path, body=None, headers=()):
    connection = HTTPConnection("127.0.0.1", web.port, timeout=20)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())
    finally:
        connection.close()


def timed_answer(web, *request):
    began = time.monotonic()
    return send(web, *request), time.monotonic() - began


def everything():
    """Return each row of ours, by its table."""
    models = django_apps.get_app_config("apiauth").get_models()
    return {model.__name__: sorted(map(repr, model._default_manager.values())) for model in models}


def form_of(web, ticket):
    """Look at a link's landing page, and return its form as a browser sends it."""
    page = send(web, "GET", f"{ENTRY}?{urlencode({'ticket': ticket.text})}")
    (token,) = set(TOKEN.findall(page.body))
    cookie = page.headers["set-cookie"].partition(";")[0]
    body = urlencode({"ticket": ticket.text, "csrfmiddlewaretoken": token.decode()})
    return {"body": body, "headers": FORM | {"Cookie": cookie, "Origin": f"http://127.0.0.1:{web.port}"}}


def test_what_would_write_is_a_503_soon_and_has_no_effect(web, proxy, app, make_key, make_ticket, authority):
    leaked, old, misnamed = (make_key(name).key.id for name in ("leaked", "old", "misnamed"))
    ticket, link = make_ticket(), make_ticket()
    keys = f"/api-auth/apps/{app.slug}/keys"
    wanted = json.dumps({"ticket_type": "api_auth_access", "api_auth_app_slug": app.slug})
    backend = authority | JSON
    form = form_of(web, link)
    json_writes = [
        ("POST", "/session/tickets", wanted, backend),
        ("POST", keys, '{"name": "ci"}', backend),
        ("POST", keys, '{"name": "ci"}', backend | {"Idempotency-Key": "once"}),
        ("POST", f"{keys}/{leaked}/revoke", "{}", backend),
        ("POST", f"{keys}/{old}/rotate", "{}", backend),
        ("PATCH", f"{keys}/{misnamed}", '{"name": "Renamed"}', backend),
        ("PATCH", f"/api-auth/apps/{app.slug}", '{"name": "Renamed"}', backend),
        ("GET", f"/session/ticket/exchange?ticket={ticket.text}", None, {"Accept": "application/json"}),
    ]
    before = everything()
    proxy.cut()
    every_write = [*json_writes, ("POST", ENTRY, *form.values())]
    with ThreadPoolExecutor(WEB_THREADS) as pool:  # more would wait for a thread, and not for the database alone
        timed = list(pool.map(lambda write: timed_answer(web, *write), every_write))
    answers = [answer for answer, _ in timed]
    assert [answer.status for answer in answers] == [503] * 9
    assert {answer.headers.get("retry-after") for answer in answers[:-1]} == {"1"}
    assert {json.loads(answer.body)["code"] for answer in answers[:-1]} == {"unavailable"}
    assert max(seconds for _, seconds in timed) < AT_MOST_SECONDS
    assert everything() == before

    proxy.mend()
    until(lambda: send(web, "GET", "/ready").status == 200, 20, "the web process is ready")
    again = [send(web, *write).status for write in json_writes]
    assert again == [200] * 8, "none of them was used up"
    assert send(web, "POST", ENTRY, **form).status == 303
    assert Session.objects.count() == 2


def test_what_a_cut_interrupts_is_there_whole_or_not_at_all(web, proxy, app, authority):
    """Keys and tickets are made all the while; each has its entry in the activity log, and no entry is without one."""
    wanted = json.dumps({"ticket_type": "api_auth_access", "api_auth_app_slug": app.slug})
    writes = {"key": (f"/api-auth/apps/{app.slug}/keys", '{"name": "ci"}'), "ticket": ("/session/tickets", wanted)}
    heard, stop = Counter(), threading.Event()

    def ask(what):
        while not stop.is_set():
            try:
                heard[what, send(web, "POST", *writes[what], authority | JSON).status] += 1
            except (OSError, HTTPException):
                heard[what, None] += 1

    threads = [threading.Thread(target=ask, args=(what,)) for what in writes for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(8):
        made = heard["key", 200], heard["ticket", 200]
        until(lambda: heard["key", 200] > made[0] and heard["ticket", 200] > made[1], 20, "both are made")  # noqa: B023
        proxy.cut()
        proxy.mend()
    stop.set()
    for thread in threads:
        thread.join()
    keys, tickets = Key.objects.values_list("id", flat=True), Ticket.objects.count()
    entries = ActivityEntry.objects.filter(event=Event.KEY_CREATED).values_list("key_id", flat=True)
    assert sorted(entries) == sorted(keys)
    assert ActivityEntry.objects.filter(event=Event.TICKET_ISSUED).count() == tickets
    assert len(keys) >= heard["key", 200]
    assert tickets >= heard["ticket", 200]
    assert {status for _, status in heard} <= {200, 503}
