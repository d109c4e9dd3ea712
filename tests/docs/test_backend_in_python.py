"""docs/how-to/backend-in-python.md, run as it stands, with the package that its first line installs."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.running import Running
from tests.support.snippets import Page, run_python, run_shell

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

TRY_MANAGEMENT = """
import json, time
slug = "aa_acme_py"
results = {}
provision({"id": "acme_py", "name": "Acme"})
try:
    provision({"id": "acme_py", "name": "Acme"})
except KeysteadError as problem:
    results["conflict"] = type(problem).__name__
user = {"may_manage_keys": True, "customer_id": "acme_py", "id": "u1", "name": "Dana", "email": "d@example.com"}
results["url"] = manage_keys(user)
try:
    manage_keys({"may_manage_keys": False})
except PermissionError as problem:
    results["refused"] = str(problem)
made = keystead.create_key(slug, name="ci", permissions=["routes:read"])
call = {"method": "GET", "resource": "/v2/routes"}
new_id, secret = replace(slug, made.key.id)
results["both work"] = [keystead.check(each, **call).allowed for each in (made.secret, secret)]
narrowed = narrow(slug, new_id)
results["narrowed"] = [narrowed.permissions, narrowed.limits[0].max_requests, narrowed.propagated]
results["paused"] = [pause(slug, made.key.id), keystead.check(made.secret, **call).reason]
keystead.enable_key(slug, made.key.id, wait_seconds=10)
keystead.issue_ticket(slug, subject={"id": "u2"})
results["left"] = left(slug, "u2")
end(slug, new_id)
while (decision := keystead.check(secret, **call)).allowed:
    time.sleep(0.01)
results["revoked"] = decision.reason
results["secret"] = made.secret
print(json.dumps(results))
"""
TRY_DJANGO = """
import json, os, sys, types
import django
from django.conf import settings
import settings as written
settings.configure(ROOT_URLCONF="urls", ALLOWED_HOSTS=["*"], KEYSTEAD=written.KEYSTEAD, MIDDLEWARE=written.MIDDLEWARE,
                   SECRET_KEY="x", INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"])
django.setup()
from django.test import Client
from django.urls import path
import api, views
urls = types.ModuleType("urls")
urls.urlpatterns = [path("v2/routes", views.routes), path("drf/routes", api.Routes.as_view())]
sys.modules["urls"] = urls
key = {"Authorization": "Bearer " + os.environ["SECRET"]}
asked = [Client().get(where, headers=headers) for where in ("/v2/routes", "/drf/routes") for headers in (key, {})]
print(json.dumps([[each.status_code, json.loads(each.content).get("key")] for each in asked]))
"""
TRY_FASTAPI = """
import asyncio, json
import httpx

async def ask():
    transport = httpx.ASGITransport(app=app)
    async with lifespan(app), httpx.AsyncClient(transport=transport, base_url="http://product") as client:
        return [await client.get("/v2/routes", headers=each) for each in ({"X-API-Key": os.environ["SECRET"]}, {})]

print(json.dumps([[each.status_code, each.json().get("key")] for each in asyncio.run(ask())]))
"""
TRY_OPEN = """
open_door = Keystead(gateway_url="http://127.0.0.1:9", on_unavailable=open_door._settings.on_unavailable)
print(open_door.check("made up", method="GET", resource="/").recorded)
"""


@pytest.fixture
def environment(variables: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """What the pages say to export, and pip told to build and install here, from nothing but the checkout."""
    pip = {
        "PIP_TARGET": str(tmp_path / "installed"),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**variables, **pip, "PATH": path, "PYTHONPATH": f"{tmp_path / 'installed'}:{tmp_path}"}


def last_line(printed: str) -> Any:
    return json.loads(printed.splitlines()[-1])


def test_the_page_works_as_written(running: Running, environment: dict[str, str], tmp_path: Path) -> None:
    page = Page("docs/how-to/backend-in-python.md")
    run_shell(page.take("sh", "pip install"), environment)
    assert (tmp_path / "installed" / "keystead_client" / "py.typed").exists()

    parts = ("keystead = Keystead(", "def provision", "def replace", "def narrow")
    blocks = [page.take("python", text) for text in parts]
    results = last_line(run_python("\n".join([*blocks, TRY_MANAGEMENT]), environment))
    assert results.pop("url").startswith(f"{running.web_url}/vanity/api-auth?ticket=kst_")
    secret = results.pop("secret")
    assert results == {
        "conflict": "Conflict",
        "refused": "no right to manage API keys",
        "both work": [True, True],
        "narrowed": [["routes:read"], 60, True],
        "paused": [True, "key_disabled"],
        "left": 0,
        "revoked": "key_revoked",
    }

    environment["SECRET"] = secret  # the rotated key, which works for an hour longer
    for name in ("settings", "views", "api"):
        (tmp_path / f"{name}.py").write_text(page.take("python", f"# {name}.py"))
    in_django = last_line(run_python(TRY_DJANGO, environment, tmp_path))
    assert in_django == [[200, "ci"], [401, None], [200, "ci"], [401, None]]

    in_fastapi = last_line(run_python(page.take("python", "FastAPI") + TRY_FASTAPI, environment, tmp_path))
    assert in_fastapi == [[200, "ci"], [401, None]]

    assert run_python(page.take("python", "on_unavailable") + TRY_OPEN, environment).strip() == "False"
    page.finish()
