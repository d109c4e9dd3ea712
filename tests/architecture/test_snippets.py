"""A page that teaches by code is a page whose code is run."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TAUGHT_BY_CODE = [page for page in sorted((ROOT / "docs" / "how-to").glob("*.md")) if "```" in page.read_text()]


@pytest.mark.parametrize("page", TAUGHT_BY_CODE, ids=lambda page: page.stem)
def test_every_page_with_code_has_a_test_that_runs_it(page: Path) -> None:
    name = f'Page("docs/how-to/{page.name}")'
    tests = [
        path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__) and name in path.read_text()
    ]
    assert tests, f"no test takes {page.name} with {name}"
    assert any(".finish()" in path.read_text() for path in tests)
