"""The package as npm would publish it."""

import json
from pathlib import Path

import pytest

from tests.clients.js.conftest import PACKAGE
from tests.support import node
from tests.support.snippets import snippets

pytestmark = pytest.mark.contract

FILES = ["LICENSE", "README.md", "package.json"]
SOURCES = ["address.js", "client.d.ts", "client.js", "error.js", "react.d.ts", "react.js"]
ON_A_SERVER = """
import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { KeysteadProvider, useApiAuthAppSession, useApiAuthKeys } from "@keystead/client/react";
function Page() {
  const { sessionLoading, hasSession } = useApiAuthAppSession();
  return createElement("p", null, `${sessionLoading} ${hasSession} ${useApiAuthKeys().loading}`);
}
console.log(renderToString(createElement(KeysteadProvider, { baseUrl: "http://127.0.0.1:9" }, createElement(Page))));
"""


def test_it_holds_its_sources_and_nothing_else(installed: Path) -> None:
    (packed,) = json.loads(node.run(PACKAGE, "npm", "pack", "--dry-run", "--json"))

    assert [file["path"] for file in packed["files"]] == FILES + [f"src/{name}" for name in SOURCES]


def test_it_needs_nothing_but_react_and_runs_nothing_when_installed() -> None:
    package = json.loads((PACKAGE / "package.json").read_text())

    assert package["peerDependencies"] == {"react": ">=18"}
    assert not {"dependencies", "scripts", "bin"} & set(package)


def test_its_types_fit_a_page_in_typescript(installed: Path) -> None:
    node.run(installed, "node_modules/.bin/tsc", "-p", ".")


def test_it_renders_on_a_server_where_there_is_no_window(installed: Path) -> None:
    assert node.run(installed, "node", "--input-type=module", "-e", ON_A_SERVER) == "<p>true false true</p>\n"


def test_the_readme_compiles_against_it(installed: Path, tmp_path: Path) -> None:
    (shown,) = [found for found in snippets(PACKAGE / "README.md") if found.language == "jsx"]
    page = installed / "node_modules" / "readme.jsx"
    page.write_text(shown.text)
    node.run(installed, "node_modules/.bin/esbuild", str(page), "--bundle", f"--outdir={tmp_path}", "--jsx=automatic")
