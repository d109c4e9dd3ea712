"""Makes, lists and revokes the keys of a product's backend."""

import argparse
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from apiauth.core import clock
from apiauth.core.errors import NotFound
from apiauth.management import command
from apiauth.models import BackendKey, Deployment
from apiauth.services import deployments


class Command(command.Command):
    """Rotate what a product's backend uses: make a new key, put it in place, revoke the old one."""

    help = "Make, list or revoke backend keys."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="create|list|revoke")
        create = self._action(actions, "create", "make a backend key; its secret is shown this once")
        create.add_argument("--name", default="Backend", help="what people call it")
        create.add_argument(
            "--scope", action="append", choices=deployments.SCOPES, help="narrow it to a scope; may be repeated"
        )
        self._action(actions, "list", "list a deployment's backend keys")
        revoke = self._action(actions, "revoke", "end a backend key at once")
        revoke.add_argument("--id", required=True, type=command.an_id, help="the backend key's id")

    def _action(self, actions: Any, name: str, summary: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = actions.add_parser(name, help=summary)
        parser.add_argument("--deployment", required=True, type=command.an_id, help="the deployment's id")
        self.add_json(parser)
        return parser

    def run(self, options: dict[str, Any]) -> None:
        actions = {"create": self.create, "list": self.list, "revoke": self.revoke}
        actions[options["action"]](options)

    def create(self, options: dict[str, Any]) -> None:
        issued = deployments.issue_backend_key(
            deployment_id=options["deployment"],
            name=options["name"],
            scopes=options["scope"] or deployments.SCOPES,
            actor=command.operator(),
            now=clock.now(),
        )
        facts = {"id": str(issued.row.id), "backend_key": issued.secret.text}
        self.tell(options, facts, f"Backend key {issued.secret.text}\nIt is shown this once: keep it safe.")

    def list(self, options: dict[str, Any]) -> None:
        if not Deployment.objects.filter(pk=options["deployment"]).exists():
            raise NotFound("This deployment doesn't exist.")
        rows = [described(row) for row in BackendKey.objects.in_deployment(options["deployment"]).order_by("id")]
        lines = [f"{row['id']}  …{row['suffix']}  {row['status']:<8}{row['name']}" for row in rows]
        self.tell(options, {"backend_keys": rows}, "\n".join(lines) or "No backend keys yet.")

    def revoke(self, options: dict[str, Any]) -> None:
        row = deployments.revoke_backend_key(
            deployment_id=options["deployment"],
            backend_key_id=options["id"],
            actor=command.operator(),
            now=clock.now(),
        )
        self.tell(options, described(row), f"{row.name} (…{row.key_suffix}) is revoked.")


def described(row: BackendKey) -> dict[str, Any]:
    """Return a backend key without anything secret."""
    return {
        "id": str(row.id),
        "name": row.name,
        "suffix": row.key_suffix,
        "scopes": row.scopes,
        "status": "revoked" if row.revoked_at else "active",
        "created_at": written(row.created_at),
        "last_used_at": written(row.last_used_at),
        "revoked_at": written(row.revoked_at),
    }


def written(moment: datetime | None) -> str | None:
    """Return a moment as JSON has it."""
    return moment.isoformat().replace("+00:00", "Z") if moment else None
