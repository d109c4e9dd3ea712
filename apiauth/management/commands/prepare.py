"""Brings the database and first-run data to where the processes can start."""

import os
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import CommandParser

from apiauth.core import clock
from apiauth.management import command, database, demonstration
from apiauth.services import installation
from config import env


class Command(command.Command):
    """Migrate, check the pepper, make the first administrator and the demo. Safe to repeat."""

    help = "Prepare the database and the data folder; what ./keystead up runs first."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_json(parser)
        parser.add_argument("--no-demo", action="store_true", help="make nothing to look at")
        parser.add_argument(
            "--product-url",
            type=an_address,
            default=os.environ.get("KEYSTEAD_PRODUCT_URL", ""),
            help="where the example product is served",
        )

    def run(self, options: dict[str, Any]) -> None:
        with database.in_turn():
            database.migrate()
            facts = make(options)
        self.tell(options, facts, "Prepared.")


def an_address(text: str) -> str:
    """Return a product's address without a path; argparse turns the error into wrong usage."""
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/")):
        raise ArgumentTypeError("the product's address looks like http://127.0.0.1:9000")
    return text.rstrip("/")


def make(options: dict[str, Any]) -> dict[str, Any]:
    """Make what is missing and return what the caller is told. Raises WrongPepper."""
    now = clock.now()
    is_new = installation.settle(now=now)
    installation.make_administrator(password=env.secret("ADMIN_PASSWORD"))
    app, places = None, demo_places()
    if not options["no_demo"]:
        app = demonstration.make_or_refresh(product_url=options["product_url"], places=places, now=now)
    return {
        "deployment_id": str(app.deployment_id) if app else None,
        "backend_key_file": str(places.backend_key) if app else None,
        "app_slug": app.slug if app else None,
        "admin_user": installation.ADMINISTRATOR,
        "first_run": is_new,
    }


def demo_places() -> demonstration.Places:
    """Return where the demo's secrets are handed to the caller."""
    secrets = Path(settings.ENVIRONMENT.data_dir) / "secrets"
    traffic = os.environ.get("KEYSTEAD_DEMO_KEYS_FILE") or secrets / "demo_traffic"
    return demonstration.Places(backend_key=secrets / "backend_key", traffic=Path(traffic))
