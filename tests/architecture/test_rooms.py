"""The rooms of the house: imports go down, functions stay small, pages carry no inline code."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("apiauth", "portal", "config")
LONGEST_FUNCTION = 40
LONGEST_MODULE = 400
# The secret's clear text leaves through these doors alone.
INLINE = re.compile(
    r"""<style|\sstyle\s*=|\son[a-z]+\s*=\s*["']|<script(?![^>]*\ssrc=)|\|\s*safe\b|autoescape off|hx-on"""
)


CLIENT = "clients/python/src"


def modules() -> Iterator[Path]:
    for room in (*ROOMS, CLIENT):
        for path in sorted((ROOT / room).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from importlinter.cli import lint_imports; "
        "sys.exit(lint_imports(config_filename=sys.argv[2], no_cache=True))"
    )
    command = [sys.executable, "-c", script, str(folder), str(folder / "pyproject.toml")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_imports_go_down_never_up_or_sideways() -> None:
    result = lint_imports(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_planted_violation_is_found(tmp_path: Path) -> None:
    for room in ROOMS:
        for path in modules():
            if path.is_relative_to(ROOT / room):
                copy = tmp_path / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(path.read_text())
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    with (tmp_path / "apiauth/core/clock.py").open("a") as file:
        file.write("\nimport apiauth.services.keys  # planted\n")
    assert lint_imports(tmp_path).returncode != 0


@pytest.mark.parametrize("path", list(modules()), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is_for_and_stays_readable(path: Path) -> None:
    source = path.read_text()
    if source.strip() and path.parts[-2] in ("core", "verify", "audit", "services", "models", "http"):
        assert ast.get_docstring(ast.parse(source)), "starts with one sentence of what it is for"
    assert len(source.splitlines()) <= LONGEST_MODULE
    too_long = [f.name for f in functions(path) if (f.end_lineno or 0) - f.lineno + 1 > LONGEST_FUNCTION]
    assert not too_long


def test_templates_carry_no_inline_style_script_or_handler() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group(0)}"
        for path in (ROOT / "templates").rglob("*.html")
        for match in INLINE.finditer(path.read_text())
    ]
    assert not found


def test_nothing_names_a_machine_or_an_index() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    pattern = re.compile(r"/(?:work|farm|root|home)/[a-z]|(?:pypi\.org|registry\.npmjs|files\.pythonhosted)")
    found = []
    for name in listed.splitlines():
        path = ROOT / name
        if path == Path(__file__) or not path.is_file() or "vendor" in path.parts:
            continue
        if pattern.search(path.read_bytes().decode("utf-8", "replace")):
            found.append(name)
    assert not found
