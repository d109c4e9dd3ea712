"""Writes what is in bench/results into the documents that show it: python -m bench.documents.

A document holds a table between `<!-- NAME: python -m bench --save -->` and `<!-- end -->`; a test compares.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.report import RESULTS, Row, spread

ROOT = Path(__file__).resolve().parents[1]
TARGETS, COMPARED, POLICY = "every target", "the check and others", "previews and reviews"
PLACES = {ROOT / "docs" / "explanation" / "speed.md": (COMPARED, TARGETS, POLICY), ROOT / "README.md": (COMPARED,)}
# What the README says of a row: part, the row, the sentence.
_COMPARED = (
    ("peers", "P4 djangorestframework-api-key / check, CPU", "djangorestframework-api-key, per request"),
    ("peers", "P4 django-rest-knox / check, CPU", "django-rest-knox, per request"),
    (
        "peers",
        "a Django view that asks the database / check, CPU",
        "a bare Django view that asks the database, without limits and record",
    ),
    ("peers", "a DRF view that checks nothing / check, CPU", "a view of Django REST framework that checks nothing"),
    ("peers", "P1 the check in a Django view / check, CPU", "the gateway's own check, called from a bare Django view"),
)

_PREVIEW, _OF_KEYS = re.compile(r"preview of .+, ([\d,]+ decisions)$"), re.compile(r"[\d,]+ keys$")


def written(text: str, name: str) -> str:
    """Return a document with a table as the results have it now."""
    begin, end = f"<!-- {name}: python -m bench --save -->\n", "<!-- end -->"
    table = "".join(f"{line}\n" for line in _TABLES[name]())
    pattern = re.compile(f"({re.escape(begin)}).*?({re.escape(end)})", re.DOTALL)
    return pattern.sub(lambda found: f"{found[1]}{table}{found[2]}", text)


def write() -> None:
    """Bring every document up to date."""
    for path, names in PLACES.items():
        text = path.read_text()
        for name in names:
            text = written(text, name)
        path.write_text(text)


def results() -> dict[str, dict[str, Any]]:
    """Return what was kept of each part."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}


def rows_of(result: dict[str, Any]) -> list[Row]:
    """Return the rows that were kept."""
    return [Row(**each) for each in result["rows"]]


def _every_target() -> Iterator[str]:
    """Yield each row that has a target, by its number, with where it comes from."""
    yield "| target | what | median | least to most | bound | met | part, commit |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    found = [(each, part, result) for part, result in results().items() for each in rows_of(result) if each.target]
    for each, part, result in sorted(found, key=lambda one: (int(one[0].number[1:] or 99), one[1])):
        what = each.what.removeprefix(each.number).strip()
        bound = each.target.replace(">=", "≥").replace("<=", "≤")
        yield (
            f"| {each.number} | {what} | {_figure(each.figure)} | {spread(each)} | {bound} "
            f"| {'yes' if each.met else '**no**'} | {part}, {result['commit']} |"
        )


def _compared() -> Iterator[str]:
    """Yield how many times the CPU of a check others take."""
    yield "| beside one check of the gateway | takes so many times its CPU |"
    yield "| --- | --- |"
    kept = results()
    for part, what, sentence in _COMPARED:
        row = next(each for each in rows_of(kept[part]) if each.what == what)
        yield f"| {sentence} | {row.figure:.3g} |"


def _beside_the_plain() -> Iterator[str]:
    """Yield what the preview of a change takes beside a count of the same calls, and a review beside a small one."""
    yield "| what | ms | beside | ms | so many times | commit |"
    yield "| --- | --- | --- | --- | --- | --- |"
    result = results()["policy"]
    taken = {each.what.removesuffix(": ms"): each.figure for each in rows_of(result)}
    for what, figure in taken.items():
        plain = _OF_KEYS.sub("1,000 keys", _PREVIEW.sub(r"count of \1", what))
        if plain != what:
            times = f"{figure / taken[plain]:.3g}"
            yield f"| {what} | {_figure(figure)} | {plain} | {_figure(taken[plain])} | {times} | {result['commit']} |"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or value == int(value) else f"{value:,.2f}"


_TABLES = {TARGETS: _every_target, COMPARED: _compared, POLICY: _beside_the_plain}

if __name__ == "__main__":
    write()
