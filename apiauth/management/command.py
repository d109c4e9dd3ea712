"""What our commands share: one JSON object or readable text, refusals as sentences, exit codes 0, 1 and 2."""

import argparse
import getpass
import json
import os
import sys
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from apiauth.core.actor import Actor
from apiauth.core.errors import KeysteadError


class Command(BaseCommand):
    """A command that says what it did on stdout, and why it did not on stderr."""

    requires_system_checks: list[str] = []

    def add_json(self, parser: CommandParser | argparse.ArgumentParser) -> None:
        """Let the caller ask for one JSON object on stdout and nothing else there."""
        parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the command; a refusal becomes its sentence on stderr and exit code 1."""
        try:
            self.run(options)
        except KeysteadError as refusal:
            self.refuse(refusal.message)

    @abstractmethod
    def run(self, options: dict[str, Any]) -> None:
        """Do what the command is for. Raises KeysteadError."""

    def refuse(self, sentence: str) -> None:
        """Say why not, and end with exit code 1."""
        self.stderr.write(sentence)
        sys.exit(1)

    def tell(self, options: Mapping[str, Any], facts: Mapping[str, Any], text: str) -> None:
        """Print the facts as JSON where that was asked for, else the text."""
        self.stdout.write(json.dumps(facts) if options["json"] else text)


def operator() -> Actor:
    """Return the person at the terminal as the one who acts."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have
        name = f"uid {os.getuid()}"
    return Actor(kind="command", id=name[:200], name=name[:200], via="command")


def an_id(text: str) -> int:
    """Return an id from the command line; argparse turns the error into wrong usage."""
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not an id: an id is a whole number")
    return int(text)
