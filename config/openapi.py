"""Prints the OpenAPI documents, or writes the copies that the repository keeps."""

import argparse
import os
import sys
from pathlib import Path

from config import env

KEPT = env.REPOSITORY / "docs" / "reference" / "openapi"


def main(arguments: list[str]) -> int:
    """Run `openapi` with its options."""
    parser = argparse.ArgumentParser(prog="./keystead openapi", allow_abbrev=False)
    parser.add_argument("document", nargs="?", choices=("backend", "session", "gateway"), help="print this one")
    parser.add_argument("--write", action="store_true", help="write all of them to docs/reference/openapi")
    options = parser.parse_args(arguments[1:])
    if options.write == bool(options.document):
        parser.error("name one document to print, or say --write")
    texts = documents()
    if options.write:
        write(texts, KEPT)
    else:
        sys.stdout.write(texts[options.document])
    return 0


def documents() -> dict[str, str]:
    """Return every document's text by its name; reads the settings, and asks no database."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()
    from apiauth.http.openapi.documents import DOCUMENTS, as_text

    return {name: as_text(document()) for name, document in DOCUMENTS.items()}


def write(texts: dict[str, str], folder: Path) -> None:
    """Write the documents into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
