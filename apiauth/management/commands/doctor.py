"""Tells whether this installation is healthy, or an app ready to go live, and what to do where it is not."""

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from apiauth.core import clock
from apiauth.core.errors import NotFound
from apiauth.management import command, examination
from apiauth.management.published import ask_for
from apiauth.models import App
from apiauth.services import go_live
from apiauth.services.go_live import Item, State


class Command(command.Command):
    """Check settings, database, pepper, spool, clock, gateways and trust, or an app's list before it goes live."""

    help = "Check this installation, or with --app an app before it goes live; exit code 1 where something lacks."

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_json(parser)
        parser.add_argument("--app", metavar="SLUG", help="walk the go-live list of this app instead")
        parser.add_argument("--deployment", type=command.an_id, metavar="ID", help="the app's deployment")
        parser.add_argument("--fetch", action="store_true", help="ask by HEAD whether the app's docs_url answers")

    def run(self, options: dict[str, Any]) -> None:
        if options["app"] is not None:
            self._go_live(options)
            return
        if options["deployment"] is not None or options["fetch"]:
            raise CommandError("--deployment and --fetch go with --app.", returncode=2)
        findings = examination.examine(now=clock.now())
        failed = [finding for finding in findings if not finding.ok]
        facts = {"ok": not failed, "checks": [asdict(finding) for finding in findings]}
        self.tell(options, facts, "\n".join(line(finding) for finding in findings))
        if failed:
            self.refuse(f"Not healthy: {', '.join(finding.name for finding in failed)}.")

    def _go_live(self, options: dict[str, Any]) -> None:
        app = _app(options["app"], options["deployment"])
        items = go_live.checklist(app, now=clock.now(), ask=ask_for if options["fetch"] else None)
        open_ones = [item for item in items if item.state is not State.OK]
        facts = {
            "ok": not open_ones,
            "app_slug": app.slug,
            "deployment_id": str(app.deployment_id),
            "items": [asdict(item) for item in items],
        }
        self.tell(options, facts, "\n".join(item_line(item) for item in items))
        if open_ones:
            self.refuse(f"Not ready to go live: {', '.join(item.name for item in open_ones)}.")


def _app(slug: str, deployment_id: int | None) -> App:
    """Return the one app of a slug. Raises NotFound; a slug of several deployments is wrong usage."""
    apps = App.objects.filter(slug=slug, deleted_at=None)
    found = list((apps if deployment_id is None else apps.filter(deployment_id=deployment_id)).order_by("id")[:2])
    if not found:
        raise NotFound("There is no app with this slug.")
    if len(found) > 1:
        raise CommandError("Several deployments have an app with this slug. Add --deployment.", returncode=2)
    return found[0]


def line(finding: examination.Finding) -> str:
    """Return a finding as a person reads it."""
    advice = f"\n          {finding.advice}" if finding.advice else ""
    return f"{'ok' if finding.ok else 'PROBLEM':<9} {finding.name}: {finding.detail}{advice}"


def item_line(item: Item) -> str:
    """Return an item of the go-live list as a person reads it."""
    advice = f"\n          {item.advice}" if item.advice else ""
    return f"{item.state if item.state is State.OK else item.state.upper():<9} {item.name}: {item.evidence}{advice}"
