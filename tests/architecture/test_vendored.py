"""What stands in the tree from elsewhere is exactly what its package has, and the manifest says which one that is."""

import hashlib
import json
from pathlib import Path

VENDOR = Path(__file__).resolve().parents[2] / "static" / "vendor"
PACKAGES = json.loads((VENDOR / "manifest.json").read_text())["packages"]


def test_every_vendored_file_is_in_the_manifest_with_its_digest() -> None:
    present = {
        str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }

    assert {name: digest for package in PACKAGES for name, digest in package["files"].items()} == present


def test_the_manifest_says_what_each_package_is() -> None:
    for package in PACKAGES:
        assert set(package) == {"name", "version", "licence", "files"}
        assert all(package.values())
