"""docs/how-to/backend-in-node.md, run as it stands, with the client that npm installs."""

import json
from pathlib import Path

import pytest

from tests.support.node import npm
from tests.support.running import Running
from tests.support.snippets import Page, run_node, run_shell

pytestmark = [pytest.mark.contract, pytest.mark.timeout(240)]


def test_the_page_works_as_written(running: Running, variables: dict[str, str], tmp_path: Path) -> None:
    npm()
    page = Page("docs/how-to/backend-in-node.md")
    run_shell(page.take("sh", "npm install"), {"npm_config_ignore_scripts": "true"}, tmp_path)
    blocks = [
        page.take("js", containing)
        for containing in ("initClient", "provision", "manageKeys", "decide", "withToken", "rotateApiKey")
    ]
    page.finish()

    tries = (Path(__file__).parent / "backend_in_node.mjs").read_text()
    printed = run_node("\n".join([*blocks, tries]), variables, tmp_path)

    results = json.loads(printed.splitlines()[-1])
    assert results.pop("url").startswith(f"{running.web_url}/vanity/api-auth?ticket=kst_")
    assert results == {
        "app": "aa_acme_node",
        "conflict": "ConflictError",
        "refused": "no right to manage API keys",
        "allowed": 200,
        "denied": 403,
        "unknown": 401,
        "isNew": True,
        "revoked": 401,
        "withToken": "Object",
        "away": 503,
    }
