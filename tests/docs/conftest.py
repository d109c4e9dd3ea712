"""One running Keystead for all pages whose code is run, and what a reader has set before."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.running import Running, keystead


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with keystead(Path(tmp_path_factory.mktemp("docs")) / "data") as running:
        yield running


@pytest.fixture
def variables(running: Running) -> dict[str, str]:
    """What the pages say to export first."""
    return {
        "KEYSTEAD_URL": running.web_url,
        "KEYSTEAD_GATEWAY_URL": running.gateway_url,
        "BACKEND_KEY": running.backend_key,
        "KEYSTEAD_DEPLOYMENT_ID": running.deployment_id,
    }
