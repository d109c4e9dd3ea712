"""Commands as people run them: output, errors and exit code."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.management import call_command


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout; fails where anything else stands there."""
        return json.loads(self.out)


@pytest.fixture
def run(db: None) -> Callable[..., Ran]:
    def run_command(name: str, *arguments: str) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        code = 0
        try:
            call_command(name, *arguments, stdout=out, stderr=err)
        except SystemExit as left:
            code = int(left.code or 0)
        return Ran(code, out.getvalue(), err.getvalue())

    return run_command
