"""The documents say what the code does: where one of them lists something, the list is the code's own."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from apiauth.core import secrets
from apiauth.core.decision import Rule
from apiauth.core.errors import Invalid
from apiauth.core.events import Event
from apiauth.core.policy import Policy, read_policy
from apiauth.core.policy_words import MEANINGS
from apiauth.core.roles import PRESETS, Action, preset_name
from apiauth.verify.rules import RULES
from config import first_secrets

ROOT = Path(__file__).resolve().parents[2]
PLACES = ("*.md", "docs/**/*.md", "examples/**/*.md", "clients/python/*.md")
DOCUMENTS = sorted(path for place in PLACES for path in ROOT.glob(place))
REFERENCE = ROOT / "docs" / "reference"
# What `up` tells its own children; nobody else sets them.
BETWEEN_OUR_PROCESSES = {
    "KEYSTEAD_APP",
    "KEYSTEAD_BACKEND_KEY_FILE",
    "KEYSTEAD_DEMO_KEYS_FILE",
    "KEYSTEAD_PRODUCT_URL",
    "KEYSTEAD_READY_REPORT",
    "KEYSTEAD_URL",
}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def first_cells(text: str) -> list[str]:
    """Return what stands as code in the first cell of each row of a document's tables."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def sections(path: Path) -> dict[str, str]:
    return dict(part.split("\n", 1) for part in path.read_text().split("\n## ")[1:])


def snippets(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def settings_in(source: Path) -> set[str]:
    """Return every setting that a module names in a literal of its own."""
    literals = [node.value for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Constant)]
    return {text for text in literals if isinstance(text, str) and re.fullmatch(r"KEYSTEAD_[A-Z_]+[A-Z]", text)}


def test_rules_are_listed_in_the_order_of_their_evaluation() -> None:
    assert first_cells((REFERENCE / "rules.md").read_text()) == list(Rule)
    assert [rule for rule, _ in RULES] == list(Rule)


def test_the_policy_is_the_one_that_is_read() -> None:
    text = (REFERENCE / "policy.md").read_text()
    document = Policy().document()
    rows = re.findall(r"^\| `([a-z_.]+)` \| `([^`]+)` \| (.+) \|$", text, re.MULTILINE)
    places = [place for place in MEANINGS if "." in place and not place.startswith("authority")]
    assert [place for place, _, _ in rows if place != "authority"] == places
    for place, default, meaning in rows:
        part, _, name = place.partition(".")
        assert meaning == MEANINGS[place]
        value = document[part][name] if name else preset_name(Policy().authority)
        assert default == (value if isinstance(value, str) else json.dumps(value))
    assert read_policy(json.loads(snippets(REFERENCE / "policy.md", "json")[0]))


@pytest.mark.parametrize(
    ("least", "most", "policy"),
    [
        (1, 3650, lambda days: {"expiry": {"mode": "mandatory", "longest_days": days}}),
        (1, 3650, lambda days: {"rotation": {"mode": "required", "every_days": days}}),
        (0, 365, lambda days: {"rotation": {"mode": "required", "every_days": 1, "grace_days": days}}),
        (7, 3650, lambda days: {"audit": {"keep_days": days}}),
        (0, 10, lambda minutes: {"revocation": {"undo_minutes": minutes}}),
    ],
    ids=["longest_days", "every_days", "grace_days", "keep_days", "undo_minutes"],
)
def test_the_bounds_of_a_policy_are_the_ones_that_are_kept(
    least: int, most: int, policy: Callable[[int], dict[str, object]]
) -> None:
    said = "from 1 to 3650, but `grace_days` from 0 to 365 and `keep_days` from 7; `undo_minutes` from 0 to 10."
    assert said in (REFERENCE / "policy.md").read_text()
    for within in (least, most):
        read_policy(policy(within))
    for beyond in (least - 1, most + 1):
        with pytest.raises(Invalid):
            read_policy(policy(beyond))


def test_the_matrix_is_the_one_that_decides() -> None:
    text = (REFERENCE / "policy.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+) \| (\w+) \| (.+) \|$", text, re.MULTILINE)

    assert re.findall(r"^\| action \| `(\w+)` \| `(\w+)` \| `(\w+)` \|", text, re.MULTILINE) == [tuple(PRESETS)]
    assert rows == [
        (action, *(getattr(preset, action) for preset in PRESETS.values()), MEANINGS[f"authority.{action}"])
        for action in Action
    ]


def test_every_place_of_a_policy_has_its_meaning() -> None:
    document = Policy().document()
    assert set(MEANINGS) == set(document) | {f"{part}.{name}" for part in document for name in document[part]}


def test_events_are_the_ones_that_can_be_written() -> None:
    assert first_cells((REFERENCE / "events.md").read_text()) == list(Event)


def test_settings_are_the_ones_that_are_read() -> None:
    found = sections(REFERENCE / "settings.md")

    assert set(first_cells(found["Every process"])) == settings_in(ROOT / "config" / "env.py")
    of_secrets = {f"KEYSTEAD_{name.upper()}" for name in first_secrets.MAKERS}
    assert set(first_cells(found["Secrets"])) == of_secrets
    elsewhere = set().union(*(settings_in(source) for source in (ROOT / "config").glob("*.py")))
    of_up = elsewhere - settings_in(ROOT / "config" / "env.py") - BETWEEN_OUR_PROCESSES
    of_up -= of_secrets | {f"{name}_FILE" for name in of_secrets}
    assert set(first_cells(found["`./keystead up` alone"])) == of_up


def test_every_command_is_described() -> None:
    described = set(
        re.findall(r"^\| `\./keystead ([a-z-]+)", (REFERENCE / "command-line.md").read_text(), re.MULTILINE)
    )
    usage = subprocess.run([sys.executable, ROOT / "manage.py", "--help"], capture_output=True, text=True, check=True)

    assert described == set(re.findall(r"^  ([a-z-]+) ", usage.stdout, re.MULTILINE))


def test_dependencies_are_the_ones_that_are_installed() -> None:
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    rows = re.findall(r"^\| ([a-z0-9-]+)[^|]* \| ([0-9.]+) \|", _decision("0008-dependencies"), re.MULTILINE)

    assert [name for name, _ in rows] == [re.split(r"[\[>=<]", name)[0] for name in wanted]
    for name, version in rows:
        assert re.search(rf"^{name}(\[[a-z, ]+\])?==", (ROOT / "requirements.lock").read_text(), re.MULTILINE), (
            name,
            version,
        )


def _decision(name: str) -> str:
    return (ROOT / "docs" / "decisions" / f"{name}.md").read_text()


def test_decisions_are_all_in_the_list() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(r"\(([0-9]{4}-[a-z-]+\.md)\)", (folder / "README.md").read_text())

    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


def test_the_key_format_is_the_one_that_is_minted() -> None:
    text = (REFERENCE / "key-format.md").read_text()
    vectors = re.findall(r"^\| `(\w+)` \| (\d+) \|", text, re.MULTILINE)

    assert secrets.SECRET_PATTERN in text
    assert len(vectors) == 3
    for secret, crc in vectors:
        assert secrets.is_well_formed(secret)
        assert secret[-6:] == secrets.checksum(secret[:-6]) == secrets.base62(int(crc), 6)


SAMPLES = [secrets.mint("acme_live"), secrets.mint("ab"), secrets.mint("a" * 32)]
SPOILT = [SAMPLES[0][:-1] + ("A" if SAMPLES[0][-1] != "A" else "B"), SAMPLES[0] + "\n", " " + SAMPLES[0], "", "x" * 99]


def test_the_python_verifier_tells_ours_from_others() -> None:
    namespace: dict[str, object] = {}
    exec(snippets(REFERENCE / "key-format.md", "python")[0], namespace)  # what a reader would paste
    looks_genuine = namespace["looks_genuine"]
    assert callable(looks_genuine)

    assert [looks_genuine(text) for text in SAMPLES + SPOILT] == [True] * 3 + [False] * 5


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_javascript_verifier_tells_ours_from_others() -> None:
    script = (
        snippets(REFERENCE / "key-format.md", "js")[0] + f"\nconsole.log({SAMPLES + SPOILT}.map(looksGenuine).join())"
    )
    found = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True).stdout.strip()

    assert found == ",".join(["true"] * 3 + ["false"] * 5)


def test_every_fault_names_tests_that_there_are() -> None:
    table, tests = (REFERENCE / "faults.md").read_text().split("\n## The tests\n")
    faults = re.findall(r"^\| (\d+) \|", table, re.MULTILINE)
    shown = dict(part.split(". ", 1) for part in re.split(r"^(?=\d+\. )", tests, flags=re.MULTILINE)[1:])

    assert faults == list(shown) == [str(number) for number in range(1, len(faults) + 1)]
    for number, text in shown.items():
        found = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)
        assert found, number
        for path, name in found:
            assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE), name


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_python_in_a_document_compiles(path: Path) -> None:
    for snippet in snippets(path, "python"):
        compile(snippet, named(path), "exec")


def test_the_readme_shows_the_hand_over_in_both_languages() -> None:
    readme = ROOT / "README.md"

    for language in ("python", "js"):
        assert "/session/tickets" in snippets(readme, language)[0]
        assert len(snippets(readme, language)[0].splitlines()) <= 13


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_a_document_names_no_path_of_the_machine_it_was_written_on(path: Path) -> None:
    assert not re.search(r"/(home|root|work|tmp|Users)/", path.read_text())


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_link_inside_a_document_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
        assert (path.parent / target).exists() or target.startswith("docs/images/"), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_a_file_that_a_document_names_is_there(path: Path) -> None:
    for name in re.findall(r"`((?:apiauth|portal|config|tests|examples)/[\w/.-]+\.\w+)`", path.read_text()):
        assert (ROOT / name).exists(), name
