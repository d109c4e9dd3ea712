"""A real Chromium against a real Keystead."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.running import Running, keystead


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One Keystead with its example product for all browser stories."""
    with keystead(Path(tmp_path_factory.mktemp("keystead")) / "data") as running:
        yield running
