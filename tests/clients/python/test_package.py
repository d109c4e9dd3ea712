"""What is installed: a typed wheel, two clients with the same methods, and no framework that was not asked for."""

import ast
import inspect
import subprocess
import sys
import zipfile
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path

import keystead_client
import pytest
from keystead_client import AsyncKeystead, Keystead, keys

from tests.clients.python.conftest import SOURCE

PACKAGE = SOURCE.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=PACKAGE, check=True, capture_output=True, timeout=60)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_the_package_its_types_and_its_licence(wheel: Path) -> None:
    assert wheel.name == f"keystead_client-{keystead_client.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = Parser().parsestr(archive.read(_named(names, "METADATA")).decode())

    modules = {f"keystead_client/{path.name}" for path in (SOURCE / "keystead_client").iterdir() if path.is_file()}
    assert "keystead_client/py.typed" in modules
    assert {name for name in names if ".dist-info/" not in name} == modules
    assert any(name.endswith("LICENSE") for name in names)
    assert (metadata["Name"], metadata["License-Expression"]) == ("keystead-client", "Apache-2.0")
    plain = [each for each in metadata.get_all("Requires-Dist", []) if "extra ==" not in each]
    assert [each.split("<")[0].split(">")[0] for each in plain] == ["httpx"]
    assert set(metadata.get_all("Provides-Extra", [])) == {"django", "drf", "fastapi"}


def _named(names: set[str], end: str) -> str:
    return next(name for name in names if name.endswith(end))


def test_the_installed_wheel_imports_httpx_and_no_framework(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    script = (
        "import sys, keystead_client; print(keystead_client.__file__); "
        "sys.exit(bool({'django', 'rest_framework', 'starlette', 'fastapi'} & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith(str(tmp_path))


ADAPTERS = {"django": "django", "drf": "rest_framework", "starlette": "starlette", "fastapi": "fastapi"}


def imported_by(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    names |= {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("path", sorted((SOURCE / "keystead_client").glob("*.py")), ids=lambda path: path.stem)
def test_a_module_imports_httpx_and_its_own_framework_alone(path: Path) -> None:
    others = imported_by(path) - set(sys.stdlib_module_names) - {"keystead_client", "httpx"}
    allowed = {ADAPTERS.get(path.stem), *({"django", "asgiref"} if path.stem in ("django", "drf") else ())}
    assert others <= allowed, "the client knows nothing of the server, and no framework but in its adapter"


def methods(kind: type) -> dict[str, Callable[..., object]]:
    return {name: value for name, value in vars(kind).items() if callable(value) and not name.startswith("_")}


def test_both_clients_have_the_same_methods_with_the_same_words() -> None:
    plain, awaited = methods(Keystead), methods(AsyncKeystead)

    assert plain.keys() - {"close"} == awaited.keys() - {"aclose"}
    for name in plain.keys() & awaited.keys():
        assert plain[name].__doc__ == awaited[name].__doc__, name
        ours, theirs = inspect.signature(plain[name]), inspect.signature(awaited[name])
        assert list(ours.parameters.values()) == list(theirs.parameters.values()), name
        assert next(iter(ours.parameters)) == "self"


def test_a_method_shows_the_signature_of_what_it_asks() -> None:
    bound = inspect.signature(Keystead(gateway_url="http://127.0.0.1:9").create_key)

    assert list(bound.parameters) == list(inspect.signature(keys.create_key).parameters)


def test_everything_that_is_exported_is_there() -> None:
    assert all(hasattr(keystead_client, name) for name in keystead_client.__all__)
    assert sorted(keystead_client.__all__) == keystead_client.__all__
