"""The bench and what is said of it: every part is run and described, every figure shown was measured."""

import ast
import json
import re
from pathlib import Path

import pytest

from bench import documents
from bench.__main__ import PARTS, SHORT

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"
SPEED = ROOT / "docs" / "explanation" / "speed.md"


def has_table(path: Path) -> bool:
    return any(isinstance(node, ast.FunctionDef) and node.name == "table" for node in ast.parse(path.read_text()).body)


def test_every_part_of_the_bench_is_run_and_described() -> None:
    alone = {path.stem for path in BENCH.glob("*.py") if has_table(path)}
    packages = {path.parent.name for path in BENCH.glob("*/__main__.py") if has_table(path)}

    assert set(PARTS) == alone | packages
    by_itself = {path.stem for path in BENCH.glob("*.py") if "print_rows" in path.read_text()}
    assert by_itself == {"report", "__main__"}, "return rows from `table`, and let `run` print them"
    assert set(SHORT) <= set(PARTS)
    assert set(PARTS) == set(re.findall(r"^\| `(\w+)` \| ", SPEED.read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", documents.PLACES, ids=lambda path: path.name)
def test_every_figure_in_a_document_is_one_that_was_measured(path: Path) -> None:
    text = path.read_text()
    for name in documents.PLACES[path]:
        assert f"<!-- {name}: " in text
        assert documents.written(text, name) == text, "python -m bench.documents"


def test_previews_and_reviews_stand_beside_plainer_work_of_the_same_kind() -> None:
    policy = documents.results()["policy"]
    measured = [row.what.removesuffix(": ms") for row in documents.rows_of(policy) if row.what.endswith(": ms")]
    shown = SPEED.read_text()
    for what in measured:
        if what.startswith("preview of") or what.endswith(" 100,000 keys"):
            assert f"\n| {what} | " in shown


@pytest.mark.parametrize("path", sorted((BENCH / "results").glob("*.json")), ids=lambda path: path.stem)
def test_every_result_says_where_and_from_what_it_comes(path: Path) -> None:
    kept = json.loads(path.read_text())

    assert path.stem in PARTS
    assert kept["machine"]
    assert kept["commit"]
    assert kept["measured_at"]
