"""docs/how-to/vanity-in-five-minutes.md, run as it stands; `./keystead up` is the running one."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from config import ports
from tests.support.running import Running, until
from tests.support.snippets import Page, run_shell


@contextmanager
def product(program: str, variables: dict[str, str]) -> Iterator[str]:
    """Run the page's product on a free port."""
    port = ports.free()
    with subprocess.Popen(
        [sys.executable, "-c", program], env={**variables, "PORT": str(port)}, stderr=subprocess.DEVNULL
    ) as process:
        try:
            until(lambda: ports.answers(port, "/"), 10, "the product answers")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def create_key(portal: httpx.Client) -> str:
    """Create a key in the portal as a browser without JavaScript does, and return its secret."""
    form = portal.get("/portal/keys/new").text
    fields = dict(re.findall(r'name="(csrfmiddlewaretoken|session|form_token|token)"[^>]*value="([^"]*)"', form))
    made = portal.post(
        "/portal/keys/new", data={**fields, "name": "First", "permissions": "routes:read", "ends": "never"}
    )
    found = re.search(r"nw_live_[A-Za-z0-9]{49}", made.text)
    assert found, (made.status_code, made.text[:2000])
    return found[0]


def test_the_page_works_as_written(running: Running, variables: dict[str, str]) -> None:
    page = Page("docs/how-to/vanity-in-five-minutes.md")
    assert page.take("sh", "keystead up") == "./keystead up\n"
    assert {
        line.partition("=")[0].removeprefix("export ") for line in page.take("sh", "BACKEND_KEY=").splitlines()
    } <= {*variables}
    assert json.loads(run_shell(page.take("sh", "/api-auth/apps"), variables))["app_slug"] == "aa_first"
    with product(page.take("python"), variables) as address, httpx.Client(base_url=running.web_url) as portal:
        link = httpx.post(address).headers["Location"]
        landing = portal.get(link)
        fields = dict(re.findall(r'name="(csrfmiddlewaretoken|ticket|next)"[^>]*value="([^"]*)"', landing.text))
        arrived = portal.post(landing.url.path, data=fields, headers={"Origin": running.web_url})
        assert arrived.headers["Location"].startswith("/portal/")
        secret = create_key(portal)
    assert page.take("sh", "CUSTOMER_KEY=").startswith("export CUSTOMER_KEY=")
    check = page.take("sh", "/v1/authz/check")
    known = {**variables, "CUSTOMER_KEY": secret}
    answer = until(lambda: asked(check, known), 5, "the gateway knows the key")
    assert answer["identity"]["app_slug"] == "aa_first"
    refused = json.loads(run_shell(check.replace("routes:read", "routes:write"), known))
    assert (refused["allowed"], refused["reason"]) == (False, "permission_denied")
    page.finish()


def asked(check: str, variables: dict[str, str]) -> dict[str, object] | None:
    answer: dict[str, object] = json.loads(run_shell(check, variables))
    return answer if answer["allowed"] is True else None
