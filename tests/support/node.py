"""Where node and npm are, for tests of what JavaScript programs do."""

import os
import shutil

import pytest


def npm() -> str:
    """Return the path of npm; skip with a sentence where there is none, or fail where it is required."""
    path = shutil.which("npm")
    if path and shutil.which("node"):
        return path
    sentence = "There is no node with npm: install nodejs and npm to try JavaScript clients."
    if os.environ.get("KEYSTEAD_REQUIRE_CONTRACT"):
        pytest.fail(sentence)
    pytest.skip(sentence)
