"""The published client, exactly as npm has it, against a whole Keystead."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import node
from tests.support.running import Running, keystead

pytestmark = [pytest.mark.contract, pytest.mark.timeout(240)]

FOLDER = Path(__file__).parent
VERSION = "1.0.0-beta.20"


@pytest.fixture(scope="module")
def client() -> dict[str, str]:
    """The client, installed from the lock."""
    node.install(FOLDER)
    return json.loads((FOLDER / "node_modules" / "@wacht" / "backend" / "package.json").read_text())


@pytest.fixture(scope="module")
def running(client: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with keystead(tmp_path_factory.mktemp("contract") / "data") as running:
        yield running


def test_the_published_client_goes_through_a_whole_life_cycle(client: dict[str, str], running: Running) -> None:
    assert client["version"] == VERSION
    facts = {name: running.facts[name] for name in ("web_url", "gateway_url", "backend_key")}

    printed = node.run(FOLDER, "node", "life_cycle.mjs", given=json.dumps(facts))
    steps = [json.loads(line) for line in printed.splitlines()]

    assert [step for step in steps if not step["ok"]] == []
    assert steps[-1]["step"] == "the end"
    logged = [path.read_text() for path in running.data_dir.glob("logs/*")]
    assert not any(facts["backend_key"] in text for text in logged)  # the bound method posts it as a body
