"""Makes deployments from the command line."""

from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from apiauth.core import clock
from apiauth.management import command
from apiauth.services import deployments


class Command(command.Command):
    """Make a deployment with its first backend key, whose secret is shown this once."""

    help = "Make a deployment and its first backend key."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="create")
        create = actions.add_parser("create", help="make a deployment and its first backend key")
        create.add_argument("--name", required=True, help="what people call it")
        create.add_argument("--origin", action="append", default=[], help="web origin of the product; may be repeated")
        create.add_argument("--embedded", action="store_true", help="its pages use Keystead from another site")
        self.add_json(create)

    def run(self, options: dict[str, Any]) -> None:
        actor, now = command.operator(), clock.now()
        with transaction.atomic():
            row = deployments.create_deployment(
                name=options["name"],
                allowed_origins=options["origin"],
                is_embedded=options["embedded"],
                actor=actor,
                now=now,
            )
            issued = deployments.issue_backend_key(deployment_id=row.id, name="Backend", actor=actor, now=now)
        facts = {"deployment_id": str(row.id), "backend_key": issued.secret.text}
        text = f"Deployment {row.id}\nBackend key {issued.secret.text}\nThe key is shown this once: keep it safe."
        self.tell(options, facts, text)
